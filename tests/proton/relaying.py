"""A relay in a process of its own, to be killed or paused.

It says `leader` when it is that, or `etcd has the batch` when it is to stop there. Its arguments:
database URL, etcd URL, prefix of keys, and where it stops doing anything: `removal` (etcd has
the batch, the database still has its rows) or `never`.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.engine import Dialect

from gluon.etcd.client import Compare, Etcd, Event, Op, Outcome, WatchCompacted
from gluon.etcd.keys import Keys
from gluon.proton.relay import Relay
from gluon.store.database import Database, Transaction, open_database
from gluon.store.outbox import Outbox
from gluon.store.schema import Schema


@dataclass
class Site:
    """A database with its outbox, and an etcd with its keys."""

    database: Database
    outbox: Outbox
    etcd: Etcd
    keys: Keys

    def relay(self, lease: int = 2) -> Relay:
        return Relay(self.database, self.outbox, self.etcd, self.keys, lease=lease)

    def key(self, name: object) -> str:
        return self.keys.object("test", "Thing", str(name))

    async def commit(self, *changes: tuple[object, bytes | None]) -> None:
        """One transaction."""
        entries = [(self.key(name), value) for name, value in changes]
        await self.database.write(lambda tx: self.outbox.add(tx, entries))

    async def depth(self) -> int:
        return await self.database.read(self.outbox.depth)

    async def stored(self) -> dict[str, bytes]:
        """What etcd has, by name."""
        prefix = self.keys.objects("test", "Thing")
        listing = await self.etcd.list(prefix)
        return {item.key.removeprefix(prefix): item.value for item in listing.items}

    async def drained(self, within: float = 30.0) -> None:
        async with asyncio.timeout(within):
            while await self.depth():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def site(database_url: str, etcd_url: str, prefix: str) -> AsyncIterator[Site]:
    database = open_database(database_url)
    await database.start()
    await Schema(database).prepare()
    etcd = Etcd([etcd_url], timeout=2.0)
    try:
        yield Site(database, Outbox(database.dialect), etcd, Keys(prefix))
    finally:
        await database.close()
        await etcd.close()


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await task


async def writes(etcd: Etcd, prefix: str) -> list[Event]:
    """Every write below a prefix of the test's own that etcd has ever seen, in order."""
    until = (await etcd.list(prefix)).revision
    # A key behind the end makes the watch say something even when there was no write.
    await etcd.put(prefix + "end", b"")
    first = 1
    while True:
        try:
            async with asyncio.timeout(30):
                return await _events(etcd, prefix, first, until)
        except WatchCompacted as error:
            # By another test, before this one began.
            first = error.compact_revision


async def _events(etcd: Etcd, prefix: str, first: int, until: int) -> list[Event]:
    seen: list[Event] = []
    async with etcd.watch(prefix, first) as watch:
        async for batch in watch:
            seen += [e for e in batch.events if e.mod_revision <= until]
            if batch.revision > until:
                return seen
    raise AssertionError("the watch ended")


async def eventually(condition: Callable[[], object], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        await asyncio.sleep(0.01)


class DeafOutbox(Outbox):
    """Never comes back from a removal: where a process can be killed between etcd and the database."""

    async def remove(self, tx: Transaction, ids: Sequence[int]) -> None:
        if ids:
            print("etcd has the batch", flush=True)
            # Nobody ever writes to it.
            sys.stdin.readline()
        await super().remove(tx, ids)


class LateOutbox(Outbox):
    """A removal waits until it is let through, once `armed`; for databases whose works may wait."""

    armed = False

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def remove(self, tx: Transaction, ids: Sequence[int]) -> None:
        if ids and self.armed and not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()
        await super().remove(tx, ids)


class LateEtcd(Etcd):
    """The first batch of a relay is on its way until it is let through, whatever becomes of the relay."""

    def __init__(self, url: str) -> None:
        super().__init__([url], timeout=2.0)
        self.batch: asyncio.Task[Outcome] | None = None
        self._through = asyncio.Event()

    async def transact(
        self, compare: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> Outcome:
        if self.batch is None and any(op.key.endswith("/gluon/relay") and op.kind == "put" for op in then):
            self.batch = asyncio.create_task(self._late(compare, then))
            return await asyncio.shield(self.batch)
        return await super().transact(compare, then, otherwise)

    async def _late(self, compare: Sequence[Compare], then: Sequence[Op]) -> Outcome:
        await self._through.wait()
        return await super().transact(compare, then)

    async def arrives(self) -> Outcome:
        """Let it through; what etcd says to it."""
        assert self.batch is not None
        self._through.set()
        return await self.batch


async def main(database_url: str, etcd_url: str, prefix: str, stop_at: str) -> None:
    async with site(database_url, etcd_url, prefix) as here:
        if stop_at == "removal":
            here.outbox = DeafOutbox(here.database.dialect)
        relay = here.relay()
        task = asyncio.create_task(relay.run())
        while not relay.is_leader:
            await asyncio.sleep(0.01)
        if stop_at == "never":
            print("leader", flush=True)
        # Something new all the time, so that it is always about to write.
        while not task.done():
            if stop_at == "never":
                await here.commit(("child", uuid.uuid4().hex.encode()))
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
