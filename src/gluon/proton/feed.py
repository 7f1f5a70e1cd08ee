"""The changes of one collection as etcd tells them, shared by all who watch it.

Life of a change: the relay writes a key → etcd's watch brings it, with the value that the key had before → it
stands in the feed's log → each reader takes it from there, at its own pace. Nobody has a queue of their own:
a reader that is so slow that the log has forgotten what it has not taken yet is let go, and begins again
where it was, from etcd.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import aclosing

from gluon.etcd.client import Etcd
from gluon.proton.moments import Moment, Shape, Step, TooOld, follow

_log = logging.getLogger(__name__)

LOG_CHANGES = 2_000
LOG_BYTES = 4 * 1024 * 1024
"""What the log of a feed holds at most: bytes of values in etcd, which are three times that as documents."""

PATIENCE = 1.0
"""Seconds that a feed may spend on waiting for its readers, when the log is full and they still need it."""

_PATIENCE_BACK = 1 / 30
"""Seconds of patience that come back in a second: slow readers can hold up the others by so much at most."""


class FellBehind(Exception):
    """The log has forgotten what this reader has not taken yet."""


class Interrupted(Exception):
    """Nothing more can be told here; who comes back can go on where it was."""


class Reader:
    """A place in a feed's log, that moves on as it is read; to be closed."""

    def __init__(self, feed: Feed, number: int) -> None:
        self.number = number
        """Of the next moment, counted from the feed's beginning."""
        self._feed = feed

    def take(self) -> Moment | None:
        """The next moment, None if there is none yet. Raises FellBehind, TooOld and Interrupted."""
        return self._feed._taken_by(self)

    @property
    def is_at_end(self) -> bool:
        """Whether all that there is was taken."""
        return self.number == self._feed.end

    def close(self) -> None:
        """Have the feed not wait for this reader."""
        self._feed._readers.discard(self)


class Feed:
    """Follows one collection and keeps the last of its changes, for any number of readers."""

    def __init__(self, etcd: Etcd, prefix: str, shape: Shape, cluster_id: int, revision: int) -> None:
        self.prefix = prefix
        self.shape = shape
        self.cluster_id = cluster_id
        self.revision = revision
        """Everything up to this revision of etcd stands in the log, or has stood there."""
        self.ended: TooOld | Interrupted | None = None
        """Why it tells no more."""
        self._etcd = etcd
        self._floor = revision
        self._moments: deque[Moment] = deque()
        self._forgotten = 0
        self._changes = 0
        self._bytes = 0
        self._readers: set[Reader] = set()
        self._patience = PATIENCE
        self._waited_at = float("-inf")
        self._news = asyncio.Event()
        self._read = asyncio.Event()

    async def run(self) -> None:
        """Follow until it can't be told any more what comes next, or cancelled."""
        try:
            async with aclosing(follow(self._etcd, self.prefix, self.revision, self.shape)) as steps:
                async for step in steps:
                    await self._add(step)
        except TooOld as error:
            _log.warning("clients that watch %s must list again: %s", self.prefix, error)
            self.ended = error
        finally:
            self.ended = self.ended or Interrupted("the feed has ended")
            self._wake()

    @property
    def end(self) -> int:
        """The number of the moment that has not come yet."""
        return self._forgotten + len(self._moments)

    @property
    def size(self) -> int:
        """Bytes of all values in the log."""
        return self._bytes

    def holds(self, revision: int) -> bool:
        """Whether the log has everything after that revision."""
        return self._floor <= revision

    def reader(self, revision: int) -> Reader:
        """One that begins after a revision, which the feed must hold, or a little before it."""
        known = sum(1 for moment in self._moments if moment.revision <= revision)
        reader = Reader(self, self._forgotten + known)
        self._readers.add(reader)
        return reader

    async def news(self) -> None:
        """Wait for something to be read, or for the end."""
        await self._news.wait()

    def _taken_by(self, reader: Reader) -> Moment | None:
        if reader.number < self._forgotten:
            raise FellBehind()
        if reader.number == self.end:
            if self.ended is not None:
                raise self.ended
            return None
        # From the near end: a deque is slow in its middle only.
        moment = self._moments[reader.number - self._forgotten]
        reader.number += 1
        self._read.set()
        return moment

    async def _add(self, step: Step) -> None:
        for moment in step.moments:
            self._moments.append(moment)
            self._changes += len(moment.changes)
            self._bytes += moment.size
            self.revision = moment.revision
            await self._make_room()
        self.revision = step.revision
        if step.moments:
            self._wake()

    async def _make_room(self) -> None:
        # The newest moment stays, however large: someone may be waiting for it.
        while len(self._moments) > 1 and (self._changes > LOG_CHANGES or self._bytes > LOG_BYTES):
            if any(reader.number == self._forgotten for reader in self._readers):
                await self._wait_for_readers()
            oldest = self._moments.popleft()
            self._forgotten += 1
            self._floor = oldest.revision
            self._changes -= len(oldest.changes)
            self._bytes -= oldest.size

    async def _wait_for_readers(self) -> None:
        """Give those who need the oldest moment a chance to take it, while patience lasts.

        A burst of changes may come from etcd in one piece that is larger than the log; readers who are as
        fast as can be would fall behind without this.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._patience = min(PATIENCE, self._patience + (began - self._waited_at) * _PATIENCE_BACK)
        self._wake()
        try:
            async with asyncio.timeout(self._patience):
                while any(reader.number == self._forgotten for reader in self._readers):
                    self._read.clear()
                    await self._read.wait()
        except TimeoutError:
            self._readers = {reader for reader in self._readers if reader.number > self._forgotten}
        self._waited_at = loop.time()
        self._patience = max(0.0, self._patience - (self._waited_at - began))

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
