"""Somebody who watches all objects in etcd, through all its failures, and sees to it that none goes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys


class FeedWatcher:
    """Sees every revision of etcd since its start: nothing compacts it in a test."""

    def __init__(self, etcd: Etcd, keys: Keys) -> None:
        self.complaints: list[str] = []
        self.created: list[str] = []
        """Keys in the order in which they came to be."""
        self.events = 0
        self._etcd = etcd
        self._prefix = keys.objects()
        self._revisions: dict[str, int] = {}
        self._next = 0
        self.sees = asyncio.Event()
        """Set when no change can be missed any more."""

    async def run(self) -> None:
        listing = await self._etcd.list(self._prefix)
        self._revisions = {item.key: _revision(item.value) for item in listing.items}
        self._next = listing.revision + 1
        self.sees.set()
        while True:
            try:
                async with self._etcd.watch(self._prefix, self._next) as watch:
                    async for batch in watch:
                        for event in batch.events:
                            self._see(event.key, event.value)
                        self._next = batch.revision + 1
            except EtcdError:
                await asyncio.sleep(0.05)

    def _see(self, key: str, value: bytes | None) -> None:
        self.events += 1
        before = self._revisions.get(key, 0)
        if value is None:
            if not self._revisions.pop(key, 0):
                self.complaints.append(f"{key} was deleted twice, or before it was there")
            return
        revision = _revision(value)
        if revision <= before:
            self.complaints.append(f"{key} came at revision {revision} after {before}")
        if not before:
            self.created.append(key)
        self._revisions[key] = revision


def _revision(value: bytes) -> int:
    return int(msgspec.json.decode(value)["revision_number"])


@asynccontextmanager
async def watching(urls: str | Sequence[str], keys: Keys) -> AsyncIterator[FeedWatcher]:
    """Watch in the block; afterwards nothing may have gone back, or have been written twice."""
    etcd = Etcd([urls] if isinstance(urls, str) else urls, timeout=2.0)
    watcher = FeedWatcher(etcd, keys)
    task = asyncio.create_task(watcher.run())
    try:
        await watcher.sees.wait()
        yield watcher
        assert not task.done(), f"the watcher has failed: {task.exception()!r}"
        assert not watcher.complaints, watcher.complaints
    finally:
        task.cancel()
        await asyncio.wait([task])
        await etcd.close()
