"""A cable between two processes that can be cut: a TCP relay on loopback which forwards, or stops to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 64 * 1024


class Cable:
    """Forwards connections to a server's address until it is cut.

    A cut cable is one whose packets get lost: connections stay open and nothing comes through, new ones are
    accepted by nobody's answer. Mended, what was under way is reset, as by a network that has forgotten it.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._target = (host, port)
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def lay(self) -> None:
        """Listen on a free port, which is in `port` from now on."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Nothing comes through any more."""
        self._whole.clear()

    def mend(self) -> None:
        """New connections come through; those that were cut are reset."""
        for connection in self._connections:
            connection.cancel()
        self._whole.set()

    async def remove(self) -> None:
        """Stop listening, and end what runs over it."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._whole.wait()
            onward, back = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._forward(reader, back))
                    both.create_task(self._forward(onward, writer))
            finally:
                back.transport.abort()
        except* (OSError, asyncio.CancelledError):
            # The other side went away, or the cable was mended or removed: either way both sides end now.
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
