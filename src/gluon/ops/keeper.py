"""Keeps one role running: starts it, and starts it again when it died, until told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from gluon.ops.child import Child, Role, describe_exit

RESTART_DELAY = 1.0
"""Seconds between a death and the next start: long enough for ports and locks to be free again."""

LONGEST_DELAY = 30.0
"""Seconds; the delay doubles up to this while a role dies at once again and again."""

AT_ONCE = 3.0
"""Seconds; who lives shorter than this has died at once."""

STOP_GRACE = 15.0
"""Seconds to end by itself: more than the 8 s that a request may wait for a bind, and 2 s to answer it."""


class Keeper:
    """Runs one role. `report` gets a line for each effect; `changed` is called when the pid is another.

    `deaths` counts all of them, `deaths_at_once` those in a row that came right after a start.
    """

    def __init__(self, role: Role, report: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.role = role
        self.deaths = 0
        self.deaths_at_once = 0
        self._report = report
        self._changed = changed
        self._stopping = asyncio.Event()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; None while there is none."""
        if self._child is None or self._child.exited.done():
            return None
        return self._child.pid

    def last_words(self) -> list[str]:
        """The last lines in the log of the process that runs now, or that died last."""
        return self._child.last_words() if self._child is not None else []

    async def run(self) -> None:
        """Keep the role running until `stop`."""
        while not self._stopping.is_set():
            started = time.monotonic()
            self._child = Child(self.role)
            if self.deaths:
                self._report(f"{self.role.name} runs again (pid {self._child.pid})")
            self._changed()
            returncode = await self._child.exited
            if self._stopping.is_set():
                return
            self.deaths += 1
            at_once = time.monotonic() - started < AT_ONCE
            self.deaths_at_once = self.deaths_at_once + 1 if at_once else 0
            delay = self._delay()
            self._report(
                f"{self.role.name} (pid {self._child.pid}) {describe_exit(returncode)}; "
                f"it starts again in {delay:g} s"
            )
            if self.deaths_at_once > 1:
                for line in self._child.last_words():
                    self._report(f"  {self.role.log.name}: {line}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    def _delay(self) -> float:
        doublings = max(0, self.deaths_at_once - 2)
        return min(RESTART_DELAY * 2.0 ** min(doublings, 16), LONGEST_DELAY)

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the role for good; returns when it is gone."""
        self._stopping.set()
        if self._child is not None:
            await self._child.stop(grace)

    def kill(self) -> None:
        """End the role for good, without the time to end by itself."""
        self._stopping.set()
        if self._child is not None:
            self._child.kill()
