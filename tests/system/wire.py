"""HTTP as bytes on a socket, for requests that no client library would send."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 is a connection that was closed without a word."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in small letters."""

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Wire:
    """A server's address, to which bytes are sent."""

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)

    def exchange(self, request: bytes, *, method: str = "GET", half_close: bool = False) -> Answer:
        """Send a whole request on a connection of its own and read the answer to it."""
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            try:
                connection.sendall(request)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all of it was sent: the answer is there all the same, or none is
            return read_answer(connection, method)

    def send(
        self, method: str, path: bytes | str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request whose head is well-formed but for what the arguments make of it."""
        target = path if isinstance(path, bytes) else path.encode("utf-8", "surrogatepass")
        given = {"Host": "localhost", "Connection": "close"} | (headers or {})
        if body and not {"Content-Length", "Transfer-Encoding"} & given.keys():
            given["Content-Length"] = str(len(body))
        lines = [method.encode() + b" " + target + b" HTTP/1.1"]
        lines += [f"{n}: {v}".encode("latin-1") for n, v in given.items()]
        return self.exchange(b"\r\n".join([*lines, b"", body]), method=method)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (http.client.BadStatusLine, ConnectionResetError):
        return Answer(0, "", b"")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers.get("content-type", ""), body, headers)
