"""What is to be written to the northbound database, in batches: what waits at the same time goes in one
transaction. When that is refused, its members go one by one, so that a bad one fails alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gluon.shim.backends.ovn.changes import Changes
from gluon.shim.backends.ovn.northbound import Northbound, NorthboundAway, NorthboundRefuses
from gluon.shim.backends.ovn.rows import Row, RowId
from gluon.shim.errors import TemporaryError

_log = logging.getLogger(__name__)

Wanted = Callable[[Collection[RowId]], Mapping[RowId, Row | None]]
"""Gives rows as they should be now."""


@dataclass(frozen=True, slots=True)
class _Write:
    ids: frozenset[RowId]
    done: asyncio.Future[Changes]


class Writer:
    """Writes rows. `wanted` is asked when a batch is about to go, so each write is of the newest state.

    Of the event loop; the database is spoken with in one thread. What could not be written stays in `failed`.
    """

    def __init__(self, northbound: Northbound, wanted: Wanted, batch_size: int) -> None:
        self._northbound = northbound
        self._wanted = wanted
        self._batch_size = batch_size
        self._waiting: deque[_Write] = deque()
        self._thread = ThreadPoolExecutor(1, "ovn-writer")
        self._working: asyncio.Task[None] | None = None
        self._current: frozenset[RowId] = frozenset()
        self.failed: set[RowId] = set()
        """Rows that are not yet what they should be: they are to be written again."""

    @property
    def under_way(self) -> frozenset[RowId]:
        """Rows that are being written, or are about to be."""
        return self._current.union(*(write.ids for write in self._waiting))

    async def write(self, ids: Collection[RowId]) -> Changes:
        """Make rows what they should be; what that has changed, in the whole batch. Raises TemporaryError."""
        if not ids:
            return Changes()
        done: asyncio.Future[Changes] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(frozenset(ids), done))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="ovn-writer")
        return await done

    async def close(self) -> None:
        """Write no more."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait((self._working,))
        for write in self._waiting:
            write.done.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        # What is queued in this very turn of the loop goes along.
        await asyncio.sleep(0)
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_size))]
            batch = [write for write in batch if not write.done.done()] or batch[:1]
            self._current = frozenset().union(*(write.ids for write in batch))
            try:
                await self._commit(batch)
            except asyncio.CancelledError:
                self._fail(batch, TemporaryError("the shim server ends"))
                raise
            # A fault of ours or of ovsdbapp's: those who wait are told, and the next batch has its turn.
            except Exception as error:  # noqa: BLE001
                self._fail(batch, error)
            finally:
                self._current = frozenset()

    async def _commit(self, batch: Sequence[_Write]) -> None:
        ids = frozenset().union(*(write.ids for write in batch))
        wanted = self._wanted(ids)
        try:
            loop = asyncio.get_running_loop()
            changes = await loop.run_in_executor(self._thread, self._northbound.commit, wanted)
        except NorthboundAway as error:
            _log.debug("not written: %s", error)
            again = TemporaryError("OVN's northbound database can't be reached", random.uniform(0.5, 1.5))
            self._fail(batch, again)
        except NorthboundRefuses as error:
            if len(batch) > 1:
                for write in batch:
                    await self._commit((write,))
                return
            _log.warning("OVN's northbound database refuses %s: %s", ", ".join(map(str, sorted(ids))), error)
            self._fail(batch, TemporaryError(_refusal(str(error))))
        else:
            if changes:
                _log.debug("northbound database: %s", changes)
            self.failed -= wanted.keys()
            for write in batch:
                if not write.done.done():
                    write.done.set_result(changes)

    def _fail(self, batch: Sequence[_Write], error: Exception) -> None:
        for write in batch:
            self.failed |= write.ids
            if not write.done.done():
                write.done.set_exception(error)


def _refusal(said: str) -> str:
    """What an object's owner is told of it."""
    if "constraint violation" in said:
        return "OVN has another port of this name already, which isn't Gluon's"
    return "OVN's northbound database refuses it"
