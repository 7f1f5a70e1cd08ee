"""How long a loop waits before it tries again."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Delays in seconds that double from `first` up to `limit`, each spread over its upper half.

    The spread keeps all who lost the same etcd from coming back in the same instant.
    """

    def __init__(self, first: float = 0.05, limit: float = 1.0) -> None:
        self._first = first
        self._limit = limit
        self._next = first

    def reset(self) -> None:
        """It went well: the next delay is the first one again."""
        self._next = self._first

    def delay(self) -> float:
        """The next delay."""
        delay, self._next = self._next, min(self._next * 2, self._limit)
        return delay * random.uniform(0.5, 1.0)

    async def pause(self) -> None:
        """Wait for the next delay."""
        await asyncio.sleep(self.delay())
