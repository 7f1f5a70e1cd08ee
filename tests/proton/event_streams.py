"""Reading a watch over HTTP, event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from proton.serving import Api

PATIENCE = 15.0


@dataclass(frozen=True)
class Told:
    """One event: its name, its id ("" for the empty one, None for none), its data."""

    name: str
    id: str | None
    data: dict[str, Any]


@dataclass
class Stream:
    """An open watch."""

    answer: httpx.Response
    comments: list[str] = field(default_factory=list)
    last_id: str | None = None

    def __post_init__(self) -> None:
        self._lines = self.answer.aiter_lines()

    async def next(self, within: float = PATIENCE) -> Told | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within):
            async for line in self._lines:
                if not line:
                    if "data" in fields:
                        told = Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
                        self.last_id = fields.get("id", self.last_id)
                        return told
                    fields = {}
                    continue
                name, _, value = line.partition(":")
                if not name:
                    self.comments.append(value.strip())
                else:
                    fields[name] = value.removeprefix(" ")
        return None

    async def take(self, count: int) -> list[Told]:
        """So many events."""
        events = []
        for _ in range(count):
            told = await self.next()
            assert told is not None, f"the stream ended after {events}"
            events.append(told)
        return events

    async def until(self, *names: str) -> list[Told]:
        """All events up to the first of these names, or to the end."""
        events: list[Told] = []
        while (told := await self.next()) is not None:
            events.append(told)
            if told.name in names:
                break
        return events

    async def snapshot(self) -> list[dict[str, Any]]:
        """The objects of the snapshot, which must be all that comes."""
        events = await self.until("BOOKMARK")
        assert events[-1].data["snapshot_complete"] is True
        assert {e.name for e in events[:-1]} <= {"ADDED"} and {e.id for e in events[:-1]} <= {None}
        return [e.data for e in events[:-1]]

    async def quiet(self, seconds: float = 0.3) -> None:
        """Nothing may come for so long; the stream is of no use any more."""
        try:
            told = await self.next(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"something came: {told}")


@asynccontextmanager
async def watching(
    api: Api, path: str = "vpns", after: str | None = None, headers: Any = None, **params: Any
) -> AsyncIterator[Stream]:
    """A watch, that must begin."""
    sent = {**({"Last-Event-ID": after} if after is not None else {}), **(headers or {})}
    query = {"watch": "true", **params}
    async with api.http.stream("GET", path, params=query, headers=sent) as answer:
        if answer.status_code != 200:
            await answer.aread()
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield Stream(answer)


async def in_etcd(api: Api) -> None:
    """Wait until all that is committed is in etcd."""
    database, outbox = api.server._database, api.server._outbox
    async with asyncio.timeout(PATIENCE):
        while await database.read(outbox.depth):
            await asyncio.sleep(0.01)
