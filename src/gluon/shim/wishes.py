"""What a backend wants of the shim while it works: another look for strays, or everything again."""

from __future__ import annotations

import asyncio
import threading


class Wishes:
    """Wishes that wait to be heard; many of one kind are one.

    To be made in the event loop; wishes may come from any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._changed = asyncio.Event()
        self._asked = False
        self._replay = False

    def reconcile(self) -> None:
        """Have `reconcile` called again."""
        self._wish(replay=False)

    def replay(self) -> None:
        """Have `reconcile` called again, and everything applied anew after it."""
        self._wish(replay=True)

    def forget(self) -> None:
        """What was wished for so far is about to be done anyway."""
        self._take()

    async def next(self, patience: float | None) -> bool:
        """Wait for a wish, or so many seconds; whether everything is to be applied anew."""
        try:
            async with asyncio.timeout(patience):
                while (replay := self._take()) is None:
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            return False
        return replay

    def _take(self) -> bool | None:
        with self._lock:
            asked, replay = self._asked, self._replay
            self._asked = self._replay = False
        return replay if asked else None

    def _wish(self, *, replay: bool) -> None:
        with self._lock:
            self._asked = True
            self._replay = self._replay or replay
            # A client's thread may outlive the shim.
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._changed.set)
