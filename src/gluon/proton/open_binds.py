"""Binds that stay open: settled from the database, where nobody else would.

A bind ends as a rule when its answer comes to the server whose request waits for it, or when that request's
time is up. Two things can come between: that server dies, and nobody notes that time is up; or what it waits
for happens on another server (its own watch of etcd lags, the port is deleted or bound elsewhere there), and
nobody tells it. Both show in the database, so each server looks there once a second.

**Whose bind it is.** A bind is given up by another server only when no live server would wait for it any
more: it was seen pending for longer than the longest `bind_timeout` of all that are present in etcd. Time is
counted by the clock of the process that looks, from when it first looks, so clocks need not agree. Any number
of servers may give up the same bind: one UPDATE has an effect, and an answer that comes later is still taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from gluon.etcd.stopping import run_until
from gluon.proton.pending_bind import PendingBind
from gluon.store.database import DatabaseError

_log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""

MARGIN = 1.0
"""Seconds that the server whose request waits gets to note by itself that time is up."""


@dataclass
class OpenBindCounters:
    """What was settled so far, for health and metrics."""

    given_up: int = 0
    """Binds that were left by servers which are gone."""
    looked_up: int = 0
    """Binds that a request waited for here, and that ended elsewhere."""
    failures: int = 0
    last_error: str | None = None


class Waiting(Protocol):
    """The requests of this server that wait for binds."""

    def under_way(self) -> Collection[PendingBind]:
        """The binds that requests wait for, all of them committed."""

    async def look_up(self, bind: PendingBind) -> None:
        """Tell the requests what became of a bind."""

    async def give_up(self, bind: PendingBind) -> None:
        """Note that nobody answered in time."""


class OpenBinds:
    """Looks after binds that are pending in the database for too long."""

    def __init__(
        self,
        waiting: Waiting,
        list_pending: Callable[[], Awaitable[Collection[PendingBind]]],
        longest_wait: Callable[[], Awaitable[float]],
        bind_timeout: float,
    ) -> None:
        """`list_pending` gives all binds that have neither an answer nor run out of time. `longest_wait` asks
        for the longest `bind_timeout` of all servers; it is asked only when some bind is older than our own.
        """
        self.counters = OpenBindCounters()
        self._waiting = waiting
        self._list_pending = list_pending
        self._longest_wait = longest_wait
        self._bind_timeout = bind_timeout
        self._since: dict[str, float] = {}
        """When each bind was first seen pending."""
        self._waited_for: frozenset[str] = frozenset()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Look once a second until `stop` or cancelled."""
        await run_until(self._stop, self._look_on())

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.set()

    async def _look_on(self) -> None:
        while True:
            try:
                await self._look()
                self.counters.last_error = None
            except DatabaseError as error:
                # Health says so anyway; what was seen stays seen.
                self.counters.failures += 1
                self.counters.last_error = str(error)
            await asyncio.sleep(PERIOD)

    async def _look(self) -> None:
        under_way = self._waiting.under_way()
        pending = await self._list_pending()
        now = asyncio.get_running_loop().time()
        self._since = {bind.bind_id: self._since.get(bind.bind_id, now) for bind in pending}
        await self._look_up(under_way)
        ours = {bind.bind_id for bind in self._waiting.under_way()}
        await self._give_up([bind for bind in pending if bind.bind_id not in ours], now)

    async def _look_up(self, under_way: Iterable[PendingBind]) -> None:
        # Those that wait since the last look at least: the others' answers are on their way.
        before, self._waited_for = self._waited_for, frozenset(bind.bind_id for bind in under_way)
        for bind in under_way:
            if bind.bind_id in before and bind.bind_id not in self._since:
                await self._waiting.look_up(bind)
                self.counters.looked_up += 1

    async def _give_up(self, binds: Collection[PendingBind], now: float) -> None:
        patience = self._bind_timeout + MARGIN
        if not any(now - self._since[bind.bind_id] > patience for bind in binds):
            return
        patience = max(self._bind_timeout, await self._longest_wait()) + MARGIN
        for bind in binds:
            if now - self._since[bind.bind_id] > patience:
                await self._waiting.give_up(bind)
                self.counters.given_up += 1
                _log.info(
                    "the bind of port %s was left by a server that is gone; it is given up", bind.port_id
                )
