"""All that a shim writes to etcd, gathered: what waits at the same time goes in one transaction.

A thousand binds at once are thousands of small transactions; gathered they are some dozens. Each write
keeps its own conditions: when a gathered transaction fails, its members are done one by one.

Every transaction compares that the shim still has its name, so one that was paused until another took the
name changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError, EtcdUnavailable, HistoryLost, NoSpace
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Compare, Op, Outcome

_OPERATIONS = 120
"""In one transaction: etcd takes 128 comparisons and as many operations, and the guard needs one of each."""

_BYTES = 512 * 1024
"""In one transaction, about: etcd takes 1.5 MiB, and one object may have 512 KiB."""

_AT_A_TIME = 2
"""Transactions under way: while etcd does one, the next is gathered."""

_PASSING = (EtcdUnavailable, HistoryLost, NoSpace)

_log = logging.getLogger(__name__)


class NameLost(EtcdError):
    """Nothing was written: the shim's name isn't its own at the moment."""


@dataclass(frozen=True, slots=True)
class _Write:
    compare: tuple[Compare, ...]
    then: tuple[Op, ...]
    otherwise: tuple[Op, ...]
    outcome: asyncio.Future[Outcome]

    @property
    def operations(self) -> int:
        return max(len(self.compare), len(self.then))

    @property
    def size(self) -> int:
        return sum(len(op.key) + len(op.written) for op in self.then)


Guard = Callable[[], Awaitable[Compare]]
"""Gives the condition that the name is ours, as soon as it is."""


class Writes:
    """Gathers transactions. `guard`: see above.

    While etcd is away writes wait, and are repeated: each must bear being done twice.
    """

    def __init__(self, etcd: Etcd, guard: Guard) -> None:
        self._etcd = etcd
        self._guard = guard
        self._waiting: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._failing = False

    async def transact(
        self, compare: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> Outcome:
        """Like `Etcd.transact`, some time soon. Raises NameLost, and EtcdErrors that waiting doesn't help."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(tuple(compare), tuple(then), tuple(otherwise), outcome))
        self._wake.set()
        return await outcome

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_A_TIME):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            batch = self._gather()
            if batch:
                await self._do(batch)
            else:
                self._wake.clear()
                await self._wake.wait()

    def _gather(self) -> list[_Write]:
        batch: list[_Write] = []
        operations = size = 0
        while self._waiting:
            write = self._waiting[0]
            operations += write.operations
            size += write.size
            if batch and (operations > _OPERATIONS or size > _BYTES):
                break
            self._waiting.popleft()
            if not write.outcome.cancelled():
                batch.append(write)
        return batch

    async def _do(self, batch: Sequence[_Write]) -> None:
        if len(batch) > 1 and _keys_differ(batch):
            try:
                outcome = await self._transact(
                    [c for write in batch for c in write.compare],
                    [op for write in batch for op in write.then],
                )
            except EtcdError:
                outcome = None
            if outcome is not None and outcome.succeeded:
                _share(outcome, batch)
                return
        await asyncio.gather(*(self._do_alone(write) for write in batch))

    async def _do_alone(self, write: _Write) -> None:
        try:
            outcome = await self._transact(write.compare, write.then, write.otherwise)
        except EtcdError as error:
            if not write.outcome.done():
                write.outcome.set_exception(error)
        else:
            if not write.outcome.done():
                write.outcome.set_result(outcome)

    async def _transact(
        self, compare: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> Outcome:
        backoff = Backoff()
        while True:
            guard = await self._guard()
            try:
                outcome = await self._etcd.transact([guard, *compare], then, [*otherwise, Op.get(guard.key)])
            except _PASSING as error:
                if not self._failing:
                    self._failing = True
                    _log.warning("can't write to etcd, trying again: %s", error)
                await backoff.pause()
                continue
            if self._failing:
                self._failing = False
                _log.info("writing to etcd again")
            if outcome.succeeded:
                return outcome
            *results, name = outcome.results
            if not _holds(guard, name):
                raise NameLost(f"{guard.key} is not ours any longer")
            return Outcome(False, outcome.revision, tuple(results))


def _keys_differ(batch: Sequence[_Write]) -> bool:
    keys = [op.key for write in batch for op in write.then if op.kind != "get"]
    return len(keys) == len(set(keys))


def _share(outcome: Outcome, batch: Sequence[_Write]) -> None:
    at = 0
    for write in batch:
        results = outcome.results[at : at + len(write.then)]
        at += len(write.then)
        if not write.outcome.done():
            write.outcome.set_result(Outcome(True, outcome.revision, results))


def _holds(guard: Compare, name: Any) -> bool:
    return isinstance(name, KeyValue) and name.create_revision == guard.expected
