"""Keeps the northbound database as it should be, whoever else writes to it.

Rows of ours that the database tells of are compared with what they should be; after each new connection,
and every so often, all of them are. What was changed or removed by hand is put back, strays are removed.
Rows that bear no tag of ours aren't even looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gluon.shim.backends.ovn.northbound import Northbound, NorthboundAway
from gluon.shim.backends.ovn.plan import Plan
from gluon.shim.backends.ovn.rows import RowId
from gluon.shim.backends.ovn.writer import Writer
from gluon.shim.errors import TemporaryError

_GATHER = 0.02
"""Seconds in which changes of rows are gathered, so that a thousand aren't looked at one by one."""

_RETRY = 1.0
"""Seconds until rows that couldn't be written are tried again."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Keeper:
    """Of the event loop. `told` may be called from any thread."""

    def __init__(
        self, northbound: Northbound, plan: Plan, writer: Writer, *, interval: float, stray_delay: float
    ) -> None:
        self._northbound = northbound
        self._plan = plan
        self._writer = writer
        self._interval = interval
        self._stray_delay = stray_delay
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._changed: set[RowId] = set()
        self._everything = False
        self._strays: dict[RowId, float] = {}
        """When each was first seen."""
        self._thread = ThreadPoolExecutor(1, "ovn-keeper")

    def told(self, id: RowId | None) -> None:
        """A row of ours has changed; None: any may have."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._hear, id)

    async def run(self) -> None:
        """Keep the database until cancelled."""
        self._loop = asyncio.get_running_loop()
        next_audit = self._loop.time() + self._interval
        try:
            while True:
                await self._sleep_until(next_audit)
                try:
                    if self._everything or self._loop.time() >= next_audit:
                        next_audit = self._loop.time() + self._interval
                        await self.audit()
                    else:
                        await self._look_at_changes()
                except (NorthboundAway, TemporaryError) as error:
                    _log.debug("not kept: %s", error)
                    await asyncio.sleep(_RETRY)
                # The next round begins from what is there, whatever this one ended with.
                except Exception:  # noqa: BLE001
                    _log.exception("OVN's northbound database couldn't be compared")
                    await asyncio.sleep(_RETRY)
        finally:
            self._loop = None
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def audit(self) -> None:
        """Compare everything, and put it right. Raises NorthboundAway and TemporaryError."""
        self._everything = False
        self._changed.clear()
        try:
            self._plan.refresh()
            there = await self._in_thread(self._northbound.ids)
            rows = self._plan.all_rows()
            await self._put_right({*rows, *there})
        except BaseException:
            self._everything = True
            raise

    async def _look_at_changes(self) -> None:
        changed, self._changed = self._changed, set()
        self._plan.refresh()
        try:
            await self._put_right(changed | self._due_strays() | self._writer.failed)
        except BaseException:
            self._changed |= changed
            raise

    async def _put_right(self, ids: Iterable[RowId]) -> None:
        wanted = self._plan.wanted(ids)
        differing = await self._in_thread(lambda: self._northbound.differing(wanted))
        right = wanted.keys() - differing
        self._writer.failed -= right
        for id in right:
            self._strays.pop(id, None)
        # What failed to be removed is no stray, and what is being written will be right by itself.
        strays = {id for id in differing if wanted[id] is None} - self._writer.failed
        self._note_strays(strays)
        wrong = differing - self._writer.under_way - (strays - self._due_strays())
        if not wrong:
            return
        changes = await self._writer.write(wrong)
        for id in wrong:
            self._strays.pop(id, None)
        if changes:
            _log.warning("put right in OVN's northbound database: %s", changes)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _hear(self, id: RowId | None) -> None:
        if id is None:
            self._everything = True
        else:
            self._changed.add(id)
        self._wake.set()

    def _note_strays(self, ids: Iterable[RowId]) -> None:
        now = asyncio.get_running_loop().time()
        for id in ids:
            self._strays.setdefault(id, now)

    def _due_strays(self) -> set[RowId]:
        now = asyncio.get_running_loop().time()
        return {id for id, seen in self._strays.items() if now >= seen + self._stray_delay}

    async def _sleep_until(self, next_audit: float) -> None:
        loop = asyncio.get_running_loop()
        if not self._wake.is_set():
            times = [next_audit, *(seen + self._stray_delay for seen in self._strays.values())]
            if self._writer.failed:
                times.append(loop.time() + _RETRY)
            try:
                async with asyncio.timeout_at(min(times)):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()
        await asyncio.sleep(_GATHER)
