"""A queue of keys, not of events: what is to be done follows from what is there when a key's turn comes.

A key is in it once, however often it is added, and is handed to one worker at a time. Life of a key:
added → ready → handed out → done; or after an attempt that failed: waiting (back-off) → ready again. Newer
state (`add`) ends the waiting. A key that should come after others is parked until those have had their
turn. What is added `late` comes after all that isn't, until it is added otherwise, or awaited by such a key.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_DELAY = 0.005
LAST_DELAY = 60.0
URGENT = -1
"""Before all ranks: somebody waits for this."""
_LATE = 1 << 20
"""Added to the ranks of late keys: behind all others, in the same order among themselves."""


class WorkQueue(Generic[Key]):
    """Keys that want work; `rank` says which come first when several are ready."""

    def __init__(self, rank: Callable[[Key], int]) -> None:
        self._rank = rank
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Key]] = []
        self._ready: dict[Key, int] = {}
        """Ready keys and the number of their valid entry in the heap; others there are leftovers."""
        self._running: dict[Key, bool] = {}
        """Keys that a worker has; whether they were added again meanwhile."""
        self._waiting: dict[Key, asyncio.TimerHandle] = {}
        self._parked: dict[Key, set[Key]] = {}
        self._awaited: dict[Key, set[Key]] = {}
        """For a key that others are parked for: those."""
        self._late: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._entries = asyncio.Semaphore(0)
        """As many as there are entries in the heap. Each wakes one worker; an event would wake them all."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self.retries = 0
        """How often an attempt had failed."""

    @property
    def depths(self) -> dict[str, int]:
        """How many keys are in which part of their life."""
        return {
            "ready": len(self._ready),
            "running": len(self._running),
            "waiting": len(self._waiting),
            "parked": len(self._parked),
        }

    def __len__(self) -> int:
        return len(self._ready) + len(self._running) + len(self._waiting) + len(self._parked)

    def is_active(self, key: Key) -> bool:
        """Whether it is in work, or will be without waiting for time to pass."""
        return key in self._ready or key in self._running or key in self._parked

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """The key has newer state: its turn comes as soon as it can, and its failures are forgotten."""
        self._failures.pop(key, None)
        if key in self._running:
            self._late.discard(key)
            self._running[key] = True
            return
        self._stop_waiting(key)
        self._unpark(key)
        self._hurry(key)
        self._make_ready(key, URGENT if urgent else self._rank(key))

    def add_late(self, key: Key) -> None:
        """The key is to have a turn when those that have newer state have had theirs."""
        if key in self._running:
            self._running[key] = True
        elif not self.is_active(key) and key not in self._waiting:
            self._late.add(key)
            self._make_ready(key, self._rank_of(key))

    def retry(self, key: Key, delay: float | None = None) -> float:
        """The attempt failed: try again after `delay` seconds, or after a longer back-off each time.

        To be called by the worker that has the key; what was added meanwhile comes at once. The seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retries += 1
        if delay is None:
            # The exponent is kept small: 2.0 ** 2000 would overflow.
            delay = min(FIRST_DELAY * 2.0 ** min(failures, 20), LAST_DELAY) * random.uniform(0.5, 1.0)
        self.defer(key, delay)
        return delay

    def defer(self, key: Key, delay: float) -> None:
        """Come back to the key after so many seconds, unless it is added before."""
        if key in self._ready or self._running.get(key):
            return
        self._stop_waiting(key)
        loop = asyncio.get_running_loop()
        self._waiting[key] = loop.call_later(max(delay, 0.0), self._waited, key)

    def park(self, key: Key, awaited: Iterable[Key]) -> None:
        """Come back to the key when each of these active keys has had its turn."""
        parked = {other for other in awaited if other != key and self.is_active(other)}
        if not parked:
            self.defer(key, 0.0)
            return
        self._parked[key] = parked
        for other in parked:
            if key not in self._late and other in self._late:
                ready = other in self._ready
                self._hurry(other)
                if ready:
                    self._make_ready(other, self._rank(other))
            self._awaited.setdefault(other, set()).add(key)

    async def get(self) -> Key:
        """The next key; to be given back with `done`."""
        while True:
            await self._entries.acquire()
            if self._closed:
                continue
            _, number, key = heapq.heappop(self._heap)
            if self._ready.get(key) == number:
                del self._ready[key]
                self._running[key] = False
                self._idle.clear()
                return key

    def done(self, key: Key) -> None:
        """The worker is through with the key, whatever came of it."""
        again = self._running.pop(key)
        if again:
            self._stop_waiting(key)
            self._unpark(key)
            self._make_ready(key, self._rank_of(key))
        elif key not in self._waiting and key not in self._parked:
            self._failures.pop(key, None)
            self._late.discard(key)
        if key not in self._parked:
            self._release(key)
        if not self._running:
            self._idle.set()

    async def idle(self) -> None:
        """Return when no worker has a key."""
        await self._idle.wait()

    def close(self) -> None:
        """Hand out no more keys."""
        self._closed = True
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _rank_of(self, key: Key) -> int:
        return self._rank(key) + (_LATE if key in self._late else 0)

    def _hurry(self, key: Key) -> None:
        """It isn't late any longer; if it is ready, it is to be made so anew."""
        if key in self._late:
            self._late.discard(key)
            self._ready.pop(key, None)

    def _make_ready(self, key: Key, rank: int) -> None:
        if key in self._ready and rank != URGENT:
            return
        number = next(self._order)
        self._ready[key] = number
        heapq.heappush(self._heap, (rank, number, key))
        self._entries.release()

    def _waited(self, key: Key) -> None:
        del self._waiting[key]
        if key in self._running:
            self._running[key] = True
        else:
            self._make_ready(key, self._rank_of(key))

    def _stop_waiting(self, key: Key) -> None:
        timer = self._waiting.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _unpark(self, key: Key) -> None:
        for other in self._parked.pop(key, ()):
            waiters = self._awaited.get(other)
            if waiters is not None:
                waiters.discard(key)

    def _release(self, key: Key) -> None:
        for waiter in self._awaited.pop(key, ()):
            left = self._parked.get(waiter)
            if left is None:
                continue
            left.discard(key)
            if not left:
                del self._parked[waiter]
                if waiter in self._running:
                    self._running[waiter] = True
                else:
                    self._make_ready(waiter, self._rank_of(waiter))
