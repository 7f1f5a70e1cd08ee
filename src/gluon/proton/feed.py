"""The changes of one collection as etcd tells them, shared by all who watch it.

Life of a change: the relay writes a key → etcd's watch brings it, with the value that the key had before → it
stands in the feed's log → each watcher reads it there, at its own pace. Nobody has a queue of their own: a
watcher that is so slow that the log has forgotten what it has not read yet is let go, and begins again
where it was, from etcd.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from typing import Any

import msgspec

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Compacted, Etcd, EtcdError, HistoryLost
from gluon.etcd.records import Event, WatchBatch

_log = logging.getLogger(__name__)

LOG_CHANGES = 2_000
LOG_BYTES = 4 * 1024 * 1024
"""What the log of a feed holds at most: bytes of values in etcd, which are three times that as documents."""

_READ_AT_ONCE = 16
"""Moments that a watcher takes from the log at a time."""

_STANDS = 1.0
"""Seconds after which a watch counts as standing: one that ends sooner makes the next try come later."""

_encode = msgspec.json.Encoder().encode

Document = dict[str, Any]

Shape = Callable[[bytes], Document | None]
"""Makes an API document of a value in etcd; None where that is none."""


class TooOld(Exception):
    """What came after a position can't be told any more; the message says why, `reason` in one word."""

    COMPACTED = "compacted"
    HISTORY_LOST = "history_lost"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    @classmethod
    def compacted(cls) -> TooOld:
        """Etcd has forgotten the changes since."""
        return cls(cls.COMPACTED, "etcd has been compacted meanwhile: list again")

    @classmethod
    def history_lost(cls) -> TooOld:
        """The position is of an etcd that is no more."""
        return cls(cls.HISTORY_LOST, "etcd was wiped, restored or replaced meanwhile: list again")


class FellBehind(Exception):
    """The log has forgotten what this reader has not read yet."""


class State:
    """An object at one moment: as a document, and as JSON; each is made when it is first asked for."""

    def __init__(self, value: bytes, shape: Shape) -> None:
        self._value = value
        self._shape = shape

    @cached_property
    def document(self) -> Document | None:
        """As the API shows it; None for a value that is no object."""
        return self._shape(self._value)

    @cached_property
    def data(self) -> bytes:
        """The document's JSON."""
        return _encode(self.document)

    @property
    def size(self) -> int:
        """Bytes of the value in etcd."""
        return len(self._value)


@dataclass(frozen=True, slots=True)
class Transition:
    """An object before and after; None where it was or is not there."""

    before: State | None
    after: State | None

    @property
    def size(self) -> int:
        """Bytes of both values."""
        return (self.before.size if self.before else 0) + (self.after.size if self.after else 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """All changes of the collection in one revision of etcd, in etcd's order."""

    revision: int
    changes: tuple[Transition, ...]

    @property
    def size(self) -> int:
        """Bytes of all its values."""
        return sum(change.size for change in self.changes)


@dataclass(frozen=True, slots=True)
class Step:
    """Moments in order; after them, everything up to `revision` is told."""

    moments: tuple[Moment, ...]
    revision: int


async def follow(etcd: Etcd, prefix: str, revision: int, shape: Shape) -> AsyncGenerator[Step, None]:
    """What happens below a prefix after `revision`, through all absences of etcd; ends with TooOld only."""
    losses = etcd.history.losses
    loop = asyncio.get_running_loop()
    backoff = Backoff()
    witness: Event | None = None
    failing = False
    while True:
        stands_at = float("inf")
        try:
            if failing and not await _history_holds(etcd, revision, witness):
                raise TooOld.history_lost()
            async with etcd.watch(prefix, revision + 1, previous=True) as watch:
                if etcd.history.losses != losses:
                    raise TooOld.history_lost()
                stands_at = loop.time() + _STANDS
                if failing:
                    failing = False
                    _log.info("watching %s for API clients again, from revision %d", prefix, revision)
                async for batch in watch:
                    revision = batch.revision
                    witness = batch.events[-1] if batch.events else witness
                    yield _step(batch, shape)
        except Compacted as error:
            raise TooOld.compacted() from error
        except HistoryLost as error:
            raise TooOld.history_lost() from error
        except EtcdError as error:
            if etcd.history.losses != losses:
                raise TooOld.history_lost() from error
            if not failing:
                failing = True
                _log.warning("can't watch %s for API clients, trying again: %s", prefix, error)
        if loop.time() > stands_at:
            backoff.reset()
        await backoff.pause()


async def _history_holds(etcd: Etcd, revision: int, witness: Event | None) -> bool:
    """Whether etcd has, at our revision, what it has told us last: one that was wiped and filled has not."""
    if witness is None:
        return True
    found = await etcd.get(witness.key, revision=revision)
    if found is None or witness.value is None:
        return found is None and witness.value is None
    return found.mod_revision == witness.mod_revision


def _step(batch: WatchBatch, shape: Shape) -> Step:
    moments = tuple(
        Moment(revision, tuple(_transition(event, shape) for event in events))
        for revision, events in groupby(batch.events, key=lambda event: event.mod_revision)
    )
    return Step(moments, batch.revision)


def _transition(event: Event, shape: Shape) -> Transition:
    if event.previous is None and not event.created:
        # Compacted between the event and etcd's look at what was before it. Who could see that is unknown.
        raise TooOld.compacted()
    return Transition(
        None if event.previous is None else State(event.previous, shape),
        None if event.value is None else State(event.value, shape),
    )


class Feed:
    """Follows one collection and keeps the last of its changes, for any number of readers.

    A reader has a cursor: the number of the next moment that it wants, counted from the feed's beginning.
    """

    def __init__(self, etcd: Etcd, prefix: str, shape: Shape, cluster_id: int, revision: int) -> None:
        self.prefix = prefix
        self.shape = shape
        self.cluster_id = cluster_id
        self.revision = revision
        """Everything up to this revision of etcd was told."""
        self.ended: Exception | None = None
        """Why it tells no more: TooOld, or a mistake."""
        self._etcd = etcd
        self._floor = revision
        self._moments: deque[Moment] = deque()
        self._forgotten = 0
        self._changes = 0
        self._bytes = 0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Follow until it can't be told any more what comes next, or cancelled."""
        try:
            async with aclosing(follow(self._etcd, self.prefix, self.revision, self.shape)) as steps:
                async for step in steps:
                    self._take(step)
        except TooOld as error:
            _log.warning("clients that watch %s must list again: %s", self.prefix, error)
            self.ended = error
        except Exception as error:
            self.ended = error
            raise
        finally:
            self._wake()

    def holds(self, revision: int) -> bool:
        """Whether the log has everything after that revision."""
        return self._floor <= revision

    def cursor(self, revision: int) -> int:
        """The number of the first moment after a revision, which the feed must hold."""
        known = sum(1 for moment in self._moments if moment.revision <= revision)
        return self._forgotten + known

    @property
    def end(self) -> int:
        """The number of the moment that has not come yet."""
        return self._forgotten + len(self._moments)

    def read(self, cursor: int) -> list[Moment]:
        """The next moments, none if there are none yet; raises FellBehind."""
        if cursor < self._forgotten:
            raise FellBehind()
        at = cursor - self._forgotten
        return list(islice(self._moments, at, at + _READ_AT_ONCE))

    async def news(self) -> None:
        """Wait for something to be read, or for the end."""
        await self._news.wait()

    def _take(self, step: Step) -> None:
        for moment in step.moments:
            self._moments.append(moment)
            self._changes += len(moment.changes)
            self._bytes += moment.size
        self.revision = step.revision
        # The newest moment stays, however large: someone may be waiting for it.
        while len(self._moments) > 1 and (self._changes > LOG_CHANGES or self._bytes > LOG_BYTES):
            oldest = self._moments.popleft()
            self._forgotten += 1
            self._floor = oldest.revision
            self._changes -= len(oldest.changes)
            self._bytes -= oldest.size
        if step.moments:
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
