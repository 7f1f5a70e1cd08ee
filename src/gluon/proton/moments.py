"""What happens to the objects of one collection, revision by revision, as etcd tells it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import msgspec

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Compacted, Etcd, EtcdError, EtcdUnavailable, WatchCancelled
from gluon.etcd.records import Event, WatchBatch

_log = logging.getLogger(__name__)

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
            if failing and not await _history_holds(etcd, prefix, revision, witness):
                raise TooOld.history_lost()
            async with etcd.watch(prefix, revision + 1, previous=True) as watch:
                if etcd.history.losses != losses:
                    raise TooOld.history_lost()
                stands_at = loop.time() + _STANDS
                if failing:
                    failing = False
                    _log.info("watching %s for API clients again, from revision %d", prefix, revision)
                async for batch in watch:
                    if etcd.history.losses != losses:
                        raise TooOld.history_lost()
                    revision = batch.revision
                    witness = batch.events[-1] if batch.events else witness
                    yield _step(batch, shape)
        except Compacted as error:
            raise TooOld.compacted() from error
        except EtcdError as error:
            # Whatever etcd has against our revision, it may be that it never had it.
            is_away = isinstance(error, (EtcdUnavailable, WatchCancelled))
            if not is_away or etcd.history.losses != losses:
                raise TooOld.history_lost() from error
            if not failing:
                failing = True
                _log.warning("can't watch %s for API clients, trying again: %s", prefix, error)
        if loop.time() > stands_at:
            backoff.reset()
        await backoff.pause()


async def _history_holds(etcd: Etcd, prefix: str, revision: int, witness: Event | None) -> bool:
    """Whether etcd has, at our revision, what it has told us last: one that was wiped and filled has not."""
    if witness is None:
        # The client itself notices an etcd whose revision went back, by any answer.
        await etcd.get(prefix)
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
