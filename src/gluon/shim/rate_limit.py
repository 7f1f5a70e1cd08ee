"""How often a controller may be called: one limit for all services of a shim server."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math


class RateLimit:
    """At most `rate` calls a second, evenly spaced, with a burst of a tenth of a second; 0: no limit."""

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate if rate > 0 else 0.0
        self._burst = max(rate / 10.0, 1.0) * self._interval
        self._next = -math.inf
        """When the next call may begin, on the event loop's clock, were there no burst."""
        self._order = itertools.count()
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, *, urgent: bool = False) -> None:
        """Return when a call may begin. Urgent ones come first, others in the order in which they asked."""
        if not self._interval:
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (not urgent, next(self._order), turn))
        if self._timer is None:
            self._let_go()
        await turn

    def _let_go(self) -> None:
        """Let those begin whose time has come, and come back for the others."""
        loop = asyncio.get_running_loop()
        self._timer = None
        # What wasn't used long ago is lost: a pause is not followed by a flood.
        self._next = max(self._next, loop.time() - self._burst + self._interval)
        while self._waiting:
            if self._next > loop.time():
                self._timer = loop.call_at(self._next, self._let_go)
                return
            turn = heapq.heappop(self._waiting)[2]
            # One whose worker was cancelled takes no time.
            if not turn.done():
                turn.set_result(None)
                self._next += self._interval
