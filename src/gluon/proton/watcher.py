"""One watcher of a collection: a snapshot or a start, then every change that it may see, in order.

Each revision of etcd is taken from one of two places: from the collection's feed, which all watchers share,
when its log reaches back to where the watcher is, and from a watch of its own until then. The latter goes
as fast as the watcher reads, so someone who comes back after an hour costs no memory either.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from gluon.etcd.client import Compacted, Etcd, EtcdError, HistoryLost, Listing
from gluon.etcd.records import KeyValue
from gluon.proton.errors import Unavailable
from gluon.proton.feed import FellBehind, Interrupted, Reader
from gluon.proton.feeds import Feeds, Lease
from gluon.proton.moments import Moment, Shape, State, TooOld, follow
from gluon.proton.position import Position
from gluon.proton.view import Kind, View

_log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode

_PAGE = 100
"""Objects of a snapshot that are read from etcd at a time."""

_AT_ONCE = 128 * 1024
"""Bytes that are told at once at most, or one telling if that is larger."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing that is told, as JSON. Who has it goes on behind `position`; None: where it was before."""

    kind: Kind
    data: bytes
    position: Position | None = None


Tellings = list[Telling]


class Watcher:
    """Tells one reader what it may see of a collection; to be closed whatever happens."""

    def __init__(self, feeds: Feeds, prefix: str, shape: Shape, view: View) -> None:
        """Raises Unavailable when there are too many."""
        self._feeds = feeds
        self._etcd: Etcd = feeds.etcd
        self._prefix = prefix
        self._shape = shape
        self._view = view
        self._lease: Lease | None = None
        self._snapshot: AsyncIterator[Listing] | None = None
        self._first: Listing | None = None
        self._too_old: TooOld | None = None
        self._position: Position | None = None
        self._told_to: Position | None = None
        self._reader: Reader | None = None
        feeds.admit()
        self._is_open = True

    async def open(self, start: Position | None) -> None:
        """Make sure that it can begin: etcd is asked. Raises Unavailable while etcd is away."""
        try:
            cluster_id, revision = await (self._open_snapshot() if start is None else self._open_at(start))
            self._lease = await self._feeds.join(self._prefix, self._shape, cluster_id, revision)
        except TooOld as error:
            self._too_old = error
        except EtcdError as error:
            raise Unavailable("etcd, which tells what changes, can't be reached") from error

    def close(self) -> None:
        """Leave; more than once does no harm."""
        if self._is_open:
            self._is_open = False
            self._feeds.leave()
        if self._reader is not None:
            self._reader.close()
        if self._lease is not None:
            self._lease.release()

    def bookmark(self) -> Telling | None:
        """Where the watcher is, if that is further than it was told, and it has been told all up to there."""
        if self._lease is None or self._position is None or self._reader is None:
            return None
        feed = self._lease.feed
        if not self._reader.is_at_end or feed.revision < self._position.revision:
            return None
        self._position = Position(feed.cluster_id, feed.revision)
        if self._position == self._told_to:
            return None
        self._told_to = self._position
        return self._bookmark(self._position)

    async def tellings(self) -> AsyncGenerator[Tellings, None]:
        """What there is to tell, as it comes; ends with TOO_OLD, when the reader is too slow, or never."""
        try:
            if self._too_old is not None:
                raise self._too_old
            if self._first is not None:
                async with aclosing(self._told_snapshot(self._first)) as parts:
                    async for part in parts:
                        yield part
            self._told_to = self._position
            async with aclosing(self._told_changes()) as parts:
                async for part in parts:
                    self._told_to = part[-1].position
                    yield part
        except TooOld as error:
            self._feeds.counters.too_old += 1
            yield [Telling(Kind.TOO_OLD, _encode({"reason": error.reason, "detail": str(error)}))]
        except FellBehind:
            self._feeds.counters.dropped += 1
            _log.info("a client that watches %s was too slow, and is let go", self._prefix)
        except Interrupted as error:
            _log.info("a client that watches %s is let go: %s", self._prefix, error)

    # -- beginnings -----------------------------------------------------------------------------------

    async def _open_snapshot(self) -> tuple[int, int]:
        self._snapshot = self._etcd.pages(self._prefix, page=_PAGE)
        self._first = await anext(self._snapshot)
        self._position = Position(self._first.cluster_id, self._first.revision)
        return self._first.cluster_id, self._first.revision

    async def _open_at(self, start: Position) -> tuple[int, int]:
        now = await anext(self._etcd.pages(self._prefix, page=1))
        if start.cluster_id not in (None, now.cluster_id) or start.revision > now.revision:
            raise TooOld.history_lost()
        if start.whole:
            try:
                await self._etcd.get(self._prefix, revision=start.whole)
            except Compacted as error:
                raise TooOld.compacted() from error
        self._position = Position(now.cluster_id, start.revision, start.part)
        return now.cluster_id, now.revision

    # -- telling --------------------------------------------------------------------------------------

    async def _told_snapshot(self, page: Listing | None) -> AsyncGenerator[Tellings, None]:
        assert self._snapshot is not None and self._position is not None
        while page is not None:
            for part in _parts(self._added(page.items)):
                self._feeds.counters.events += len(part)
                yield part
            try:
                page = await anext(self._snapshot, None)
            except Compacted as error:
                raise TooOld.compacted() from error
            except HistoryLost as error:
                raise TooOld.history_lost() from error
            except EtcdError as error:
                # A snapshot has no places to go on from: the client comes back and has another one.
                raise Interrupted(f"its snapshot can't be read on: {error}") from error
        yield [self._bookmark(self._position, snapshot_complete=True)]

    def _added(self, items: Iterable[KeyValue]) -> Iterable[Telling]:
        for item in items:
            state = State(item.value, self._shape)
            if self._view.sees(state):
                yield Telling(Kind.ADDED, self._view.data(state))

    async def _told_changes(self) -> AsyncGenerator[Tellings, None]:
        async with aclosing(self._moments()) as moments:
            async for moment in moments:
                for part in _parts(self._told(moment)):
                    self._feeds.counters.events += len(part)
                    yield part
                assert self._position is not None
                self._position = Position(self._position.cluster_id, moment.revision)

    def _told(self, moment: Moment) -> Iterable[Telling]:
        assert self._position is not None
        start = self._position
        if start.part and moment.revision != start.revision:
            # There were changes in that revision; now there are none.
            raise TooOld.history_lost()
        skipped = start.part
        last = len(moment.changes)
        for number, change in enumerate(moment.changes[skipped:], skipped + 1):
            told = self._view.told(change)
            if told is not None:
                part = number if number < last else 0
                yield Telling(*told, Position(start.cluster_id, moment.revision, part))

    async def _moments(self) -> AsyncGenerator[Moment, None]:
        while True:
            try:
                async with aclosing(self._moments_of_feed()) as moments:
                    async for moment in moments:
                        yield moment
            except TooOld as error:
                # What has come to the feed too late may not be too old for us, who are further.
                if error.reason != TooOld.COMPACTED or self._reader is None:
                    raise
            await self._change_feed()

    async def _moments_of_feed(self) -> AsyncGenerator[Moment, None]:
        assert self._position is not None and self._lease is not None
        feed = self._lease.feed
        revision = self._position.whole
        if not feed.holds(revision):
            steps = follow(self._etcd, self._prefix, revision, self._shape)
            async with aclosing(steps):
                async for step in steps:
                    for moment in step.moments:
                        yield moment
                    revision = step.revision
                    if feed.holds(revision):
                        break
        reader = self._reader = feed.reader(revision)
        while True:
            taken = reader.take()
            if taken is None:
                await feed.news()
            # A new feed begins a little back, and may not have come to where we are.
            elif taken.revision > revision:
                yield taken

    async def _change_feed(self) -> None:
        assert self._position is not None and self._lease is not None and self._reader is not None
        self._reader.close()
        self._reader = None
        self._lease.release()
        try:
            cluster_id, revision = await self._open_at(self._position)
            self._lease = await self._feeds.join(self._prefix, self._shape, cluster_id, revision)
        except EtcdError as error:
            raise Interrupted(f"etcd can't be asked: {error}") from error

    @staticmethod
    def _bookmark(position: Position, **further: bool) -> Telling:
        return Telling(Kind.BOOKMARK, _encode({"revision": position.revision, **further}), position)


def _parts(tellings: Iterable[Telling]) -> Iterable[Tellings]:
    part: Tellings = []
    size = 0
    for telling in tellings:
        if part and size + len(telling.data) > _AT_ONCE:
            yield part
            part, size = [], 0
        part.append(telling)
        size += len(telling.data)
    if part:
        yield part
