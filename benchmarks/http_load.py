"""A small HTTP/1.1 client for load: keep-alive connections that cost the two cores as little as can be.

The server under test shares the machine with its load; a full client library would take more CPU than
the server does.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self.headers: Mapping[str, str] = {}
        """Further headers of each request."""

    @classmethod
    async def open(cls, url: str) -> Connection:
        parts = urlsplit(url)
        assert parts.hostname is not None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=16 << 20)
        return cls(reader, writer, parts.netloc)

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            + "\r\n"
        )
        self._writer.write(head.encode() + payload)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        length = 0
        for line in answer.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        return status, await self._reader.readexactly(length) if length else b""

    def close(self) -> None:
        self._writer.close()


Task = Callable[[Connection], Awaitable[None]]


async def run(
    url: str, connections: int, tasks: Iterable[Task], headers: Mapping[str, str] | None = None
) -> tuple[float, list[float]]:
    """Do the tasks, `connections` at a time; the wall time and each task's latency, in seconds."""
    pool = [await Connection.open(url) for _ in range(connections)]
    for connection in pool:
        connection.headers = headers or {}
    waiting = iter(tasks)
    latencies: list[float] = []

    async def work(connection: Connection) -> None:
        for task in waiting:
            start = time.perf_counter()
            await task(connection)
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*[work(connection) for connection in pool])
    wall = time.perf_counter() - start
    for connection in pool:
        connection.close()
    return wall, latencies


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
