"""One connection to a client, where HTTP ends before the application begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gluon.log.request_ids import new_request_id
from gluon.proton.errors import MalformedRequest
from gluon.proton.web.line import Line
from gluon.proton.web.problems import problem_document

Receive = Callable[[], Awaitable[dict[str, Any]]]

LINGER = 0.5
"""Seconds that an idle connection of a stopping server may bring one more request."""


class Connection(HttpToolsProtocol):
    """uvicorn's, which answers what isn't HTTP with a problem document like any other wrong request.

    When the server stops, a connection ends with an answer that says so (`connection: close`). Were idle ones
    closed at once, as uvicorn does it, clients would lose the requests that they were just sending, and could
    not know whether those had been worked on.
    """

    _ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._line = Line(abort=transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone, or we have hung up."""
        self._line.ending.set()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins: what answers it may want to know how its connection is."""
        super().on_message_begin()
        self.scope["extensions"] = self._line.extension()

    def shutdown(self) -> None:
        """End the connection with the answer that is under way, or the next one; after `LINGER` without."""
        self._ending = True
        self._line.ending.set()
        if self.cycle is None or self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(LINGER, self.timeout_keep_alive_handler)
        else:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """A request begins; one that doesn't say to whom it goes, or says it twice, is none."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        # RFC 9112 section 3.2: else two servers on its way might take it for requests to different hosts.
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise MalformedRequest("a request of HTTP/1.1 has one Host header")
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be read as HTTP, and close the connection: where it goes on is unknown."""
        request_id = new_request_id()
        body = msgspec.json.encode(problem_document(400, "this is not a request of HTTP/1.1", request_id))
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/problem+json\r\n"
            f"x-openstack-request-id: {request_id}\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """A client may offer another protocol, and a server may go on in HTTP/1.1 (RFC 9110, section 7.8)."""


class RequestCutShort(MalformedRequest):
    """The connection ended before the request's body did; nobody is there to hear of it."""

    def __init__(self) -> None:
        super().__init__("the connection ended before the request's body did")


def whole_or_refused(receive: Receive) -> Receive:
    """Messages of a request as they come; raises RequestCutShort where it ends before its body does.

    Without this, the application would take what came of the body for all of it, and a client that died
    while it was sending could leave an object that it never described.
    """
    is_whole = False

    async def received() -> dict[str, Any]:
        nonlocal is_whole
        message = await receive()
        if message["type"] == "http.request":
            is_whole = not message.get("more_body", False)
        elif not is_whole:
            raise RequestCutShort()
        return message

    return received
