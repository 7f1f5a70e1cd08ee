"""The feeds of this server: one for each collection that somebody watches."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from gluon.etcd.client import Compacted, Etcd
from gluon.proton.errors import Unavailable
from gluon.proton.feed import Feed
from gluon.proton.moments import Shape

_log = logging.getLogger(__name__)

LINGER = 30.0
"""Seconds that a feed goes on after its last watcher has left: most of them come back."""

_LOOK_BACK = 1_000
"""Revisions of etcd before now that a new feed begins with: after a restart of the server all watchers come
back with positions that lie a little back, and share it at once."""


@dataclass
class WatchCounters:
    """What watchers have had from this server so far, for health and metrics."""

    watchers: int = 0
    """Streams that are open now."""
    feeds: int = 0
    """Collections that are followed in etcd now."""
    opened: int = 0
    refused: int = 0
    """Streams that were one too many."""
    events: int = 0
    """ADDED, MODIFIED and DELETED, of snapshots too."""
    dropped: int = 0
    """Streams that were ended because their readers were too slow."""
    too_old: int = 0
    """Streams that were told to list again."""


class Lease:
    """A reader's share in a feed, to be given back."""

    def __init__(self, feeds: Feeds, shared: _Shared) -> None:
        self.feed = shared.feed
        self._feeds = feeds
        self._shared: _Shared | None = shared

    def release(self) -> None:
        """Give it back; more than once does no harm."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._feeds._left(shared)


class _Shared:
    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.task = asyncio.create_task(feed.run(), name=f"feed of {feed.prefix}")
        self.readers = 0
        self.end: asyncio.TimerHandle | None = None


class Feeds:
    """Starts a feed with its first watcher, and ends it some time after the last one has left."""

    def __init__(self, etcd: Etcd, max_watchers: int) -> None:
        self.etcd = etcd
        self.counters = WatchCounters()
        self._max_watchers = max_watchers
        self._shared: dict[str, _Shared] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self) -> None:
        """Count one more watcher; raises Unavailable when there are as many as may be."""
        if self.counters.watchers >= self._max_watchers:
            self.counters.refused += 1
            raise Unavailable(
                f"this server has as many watchers as it takes ({self._max_watchers}): try again later"
            )
        self.counters.watchers += 1
        self.counters.opened += 1

    def leave(self) -> None:
        """One watcher less."""
        self.counters.watchers -= 1

    async def join(self, prefix: str, shape: Shape, cluster_id: int, revision: int) -> Lease:
        """A share in the feed of a collection; `revision` is etcd's at present. May raise EtcdError."""
        shared = self._running(prefix, cluster_id)
        if shared is None:
            start = await self._start(revision)
            # Another watcher may have started it while etcd was asked.
            shared = self._running(prefix, cluster_id)
            if shared is None:
                shared = self._started(Feed(self.etcd, prefix, shape, cluster_id, start))
        if shared.end is not None:
            shared.end.cancel()
            shared.end = None
        shared.readers += 1
        return Lease(self, shared)

    async def stop(self) -> None:
        """End all feeds; their readers are not told anything."""
        tasks = list(self._tasks)
        for shared in self._shared.values():
            if shared.end is not None:
                shared.end.cancel()
        self._shared.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _running(self, prefix: str, cluster_id: int) -> _Shared | None:
        shared = self._shared.get(prefix)
        if shared is None or shared.feed.ended is not None or shared.feed.cluster_id != cluster_id:
            return None
        return shared

    async def _start(self, revision: int) -> int:
        start = revision - _LOOK_BACK
        if start < 1:
            return 0 if await self._is_there(1) else revision
        return start if await self._is_there(start) else revision

    async def _is_there(self, revision: int) -> bool:
        try:
            await self.etcd.get("/", revision=revision)
        except Compacted:
            return False
        return True

    def _started(self, feed: Feed) -> _Shared:
        shared = self._shared[feed.prefix] = _Shared(feed)
        self._tasks.add(shared.task)
        self.counters.feeds = len(self._tasks)
        shared.task.add_done_callback(self._ended)
        return shared

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.counters.feeds = len(self._tasks)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s has ended by mistake; its watchers come back", task.get_name(), exc_info=error)

    def _left(self, shared: _Shared) -> None:
        shared.readers -= 1
        if not shared.readers:
            shared.end = asyncio.get_running_loop().call_later(LINGER, self._end, shared)

    def _end(self, shared: _Shared) -> None:
        if self._shared.get(shared.feed.prefix) is shared:
            del self._shared[shared.feed.prefix]
        shared.task.cancel()
