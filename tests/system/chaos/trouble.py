"""Makes things go wrong as planned, and puts them right again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from system.chaos.plan import Fault, Mishap
from system.chaos.stack import ChaosStack

AT_ONCE = 2
"""Most mishaps at the same time: more than one part is hurt, and something is left to go on with."""

LEAST = 3
"""Mishaps that a run has, however long they take: a Galera node may need half a minute for its data."""


class Trouble:
    """Lets mishaps happen until time is up; afterwards everything runs and is connected again."""

    def __init__(self, stack: ChaosStack, mishaps: Iterator[Mishap], report: Callable[[str], None]) -> None:
        self.survived: Counter[tuple[Fault, str]] = Counter()
        self._stack = stack
        self._mishaps = mishaps
        self._report = report
        self._begun = 0
        self._hurt: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Raises what a part said that did not come up again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        for mishap in self._mishaps:
            await asyncio.sleep(mishap.pause)
            while len(self._running) >= AT_ONCE:
                await self._one_ends()
            if loop.time() > end and self._begun >= LEAST:
                break
            if self._may_happen(mishap):
                self._begun += 1
                self._hurt.add(mishap.part)
                self._running.add(asyncio.create_task(self._happens(mishap)))
        while self._running:
            await self._one_ends()

    def _may_happen(self, mishap: Mishap) -> bool:
        if mishap.part in self._stack.database.parts:
            return not self._hurt & self._stack.database.parts.keys()
        return mishap.part not in self._hurt

    async def _one_ends(self) -> None:
        ended, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()

    async def _happens(self, mishap: Mishap) -> None:
        self._report(str(mishap))
        if mishap.fault is Fault.CUT:
            line = self._stack.lines[mishap.part]
            line.cut()
            await asyncio.sleep(mishap.duration)
            line.mend()
        else:
            await self._befalls_a_process(mishap)
        if mishap.part in self._stack.database.parts:
            await self._stack.database.healed(mishap.part)
        self.survived[mishap.fault, mishap.part] += 1
        self._hurt.discard(mishap.part)

    async def _befalls_a_process(self, mishap: Mishap) -> None:
        part = self._stack.parts()[mishap.part]
        if mishap.fault is Fault.PAUSE:
            part.pause()
            try:
                await asyncio.sleep(mishap.duration)
            finally:
                part.resume()
            return
        # In a thread: a server may take its time to end, and clients go on meanwhile.
        await asyncio.to_thread(part.kill if mishap.fault is Fault.KILL else part.stop)
        await asyncio.sleep(mishap.duration)
        # In this thread, the main one: the kernel ends what it started when the thread is gone.
        part.start()
