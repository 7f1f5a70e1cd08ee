"""Resyncs by itself what the database says that etcd is owed, on the server that relays.

The relay finds out that etcd was wiped or restored, and notes it in the database; here it is paid off. The
note stays until all is in etcd, so a server that dies in the middle leaves the rest to the next leader, which
begins anew. Fresh changes go on being relayed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gluon.etcd.backoff import Backoff
from gluon.etcd.errors import EtcdError
from gluon.etcd.stopping import run_until
from gluon.proton.resync import Counts, Resync
from gluon.store.database import Database, DatabaseError
from gluon.store.etcd_memory import Debt, EtcdMemory
from gluon.store.outbox import Outbox

_log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two looks whether this server relays now, and whether anything is owed."""

_DRAINING = 0.05


@dataclass
class ResyncCounters:
    """What this server's resyncs have done so far, for health and metrics."""

    runs: int = 0
    """Those that came to their end."""
    failures: int = 0
    repaired: int = 0
    """Keys that were put right."""
    done: int = 0
    total: int = 0
    """How far the one under way is: keys done, and keys that there are. Both 0 when there is none."""
    last_error: str | None = None


class ResyncKeeper:
    """Pays the debt while `is_leader` says that this server relays."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        memory: EtcdMemory,
        resync: Resync,
        is_leader: Callable[[], bool],
    ) -> None:
        self.counters = ResyncCounters()
        self._database = database
        self._outbox = outbox
        self._memory = memory
        self._resync = resync
        self._is_leader = is_leader
        self._models_are_right = False
        self._backoff = Backoff()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop` or cancelled."""
        await run_until(self._stop, self._keep())

    def stop(self) -> None:
        """Have `run` return; what is owed stays so."""
        self._stop.set()

    async def history_lost(self) -> None:
        """For the relay: something is owed now. What a resync under way knows of etcd is of another past."""
        self._wake.set()

    async def health(self) -> dict[str, Any]:
        """For the server's health report."""
        counters = self.counters
        report: dict[str, Any] = {"status": "ok", "runs": counters.runs, "repaired": counters.repaired}
        try:
            debt = await self._owed()
        except DatabaseError as error:
            return report | {"status": "failing", "reasons": [f"what etcd is owed can't be read: {error}"]}
        if debt is None:
            return report
        state = "a resync is the relay's to do"
        if self._is_leader():
            state = f"resyncing: {counters.done} of {counters.total}"
        reasons = [f"{debt.reason}; {state}"]
        if counters.last_error is not None:
            reasons.append(counters.last_error)
        return report | {"status": "degraded", "reasons": reasons}

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            try:
                debt = await self._owed() if self._is_leader() else None
                if debt is not None and await self._paid(debt):
                    self._backoff.reset()
                    self.counters.last_error = None
                    continue
                if debt is None and self._is_leader() and not self._models_are_right:
                    # Once: what etcd has of them may be from another configuration.
                    await self._resync.repair_models()
                    self._models_are_right = True
            except (EtcdError, DatabaseError) as error:
                self._failed(error)
                await self._backoff.pause()
            except Exception as error:  # noqa: BLE001 - the server's other work must go on
                _log.exception("the resync of etcd has failed, and will be tried again")
                self._failed(error)
                await self._backoff.pause()
            await self._pause(POLL)

    async def _owed(self) -> Debt | None:
        remembered = await self._database.read(self._memory.recall)
        return remembered.debt if remembered is not None else None

    async def _paid(self, debt: Debt) -> bool:
        """Whether it came to its end: not when another server relays, or something more is owed."""
        _log.warning("resyncing etcd: %s", debt.reason)
        paying = asyncio.create_task(self._pay(), name="resync")
        try:
            while not paying.done() and self._is_leader() and not self._wake.is_set():
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait((paying, waking), timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
            if not paying.done():
                return False
            counts = paying.result()
        finally:
            self.counters.done = self.counters.total = 0
            paying.cancel()
            await asyncio.wait((paying,))
        if not await self._database.write(lambda tx: self._memory.settle(tx, debt)):
            return False
        self.counters.runs += 1
        self.counters.repaired += counts.differences
        _log.warning(
            "resynced etcd: %d keys were right, %d created, %d updated, %d deleted",
            *counts.report().values(),
        )
        return True

    async def _pay(self) -> Counts:
        counts = await self._resync.repair(progress=self._progress)
        # Owed until it is there: those who look at health want to know when.
        while await self._database.read(self._outbox.conditional_depth):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(_DRAINING)
        return counts

    def _progress(self, done: int, total: int) -> None:
        self.counters.done, self.counters.total = done, total

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _failed(self, error: Exception) -> None:
        self.counters.failures += 1
        self.counters.last_error = str(error) or repr(error)
        _log.warning("the resync of etcd does not get on, and will be tried again: %s", error)
