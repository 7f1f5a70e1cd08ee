"""A wire to a database that breaks in the midst of a commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.engine import make_url

_COMMIT = re.compile(rb"COMMIT(\0|\Z)")
"""The statement, as either protocol has it, and not a part of READ COMMITTED."""


class Wire:
    """Carries all connections to a database, until `cut_at_commit` breaks them all at the next COMMIT.

    With `arrives` the database gets the COMMIT, and what it answers is lost; without, it never sees it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._armed: str | None = None
        self._deaf = False
        self._server: asyncio.Server | None = None
        self.cuts = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut_at_commit(self, *, arrives: bool) -> None:
        self._armed = "after" if arrives else "before"

    def cut(self) -> None:
        self.cuts += 1
        self._armed, self._deaf = None, False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, to_writer}
        answers = asyncio.create_task(self._answers(to_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._armed is not None and _COMMIT.search(data):
                    if self._armed == "before":
                        self.cut()
                        break
                    self._deaf = True
                to_writer.write(data)
        answers.cancel()
        writer.close()
        to_writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._deaf:
                    # The answer to COMMIT: it was carried out, and nobody hears of it.
                    self.cut()
                    break
                writer.write(data)
        writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the database of a URL, and the URL of the near end."""
    parsed = make_url(url)
    assert parsed.host is not None and parsed.port is not None
    wire = Wire(parsed.host, parsed.port)
    port = await wire.start()
    try:
        yield wire, parsed.set(port=port).render_as_string(hide_password=False)
    finally:
        await wire.stop()
