"""What a service manager does for the programs of an installation: it starts those again that have ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from system.faults.processes import Program

PAUSE = 2.0
"""Seconds until one that has ended is started again (deploy/systemd: `RestartSec`)."""

_LOOK = 0.2


class ServiceManager:
    """Starts programs again that could not start, as `Restart=always` of the units in deploy/systemd does.

    A server ends with a line when its database is away while it starts, which is what it should do, and what
    two mishaps at once make of it. A program that ends in any other way by itself has a fault.
    """

    def __init__(self, programs: Mapping[str, Program], report: Callable[[str], None]) -> None:
        self.restarts: Counter[str] = Counter()
        self._programs = programs
        self._report = report

    async def run(self) -> None:
        """Until cancelled; AssertionError with the last words of a program that had no reason to end."""
        while True:
            await asyncio.sleep(_LOOK)
            ended = {name: program for name, program in self._programs.items() if program.has_ended}
            for name, program in ended.items():
                said = program.log().rstrip().rpartition("\n")[2]
                assert said.startswith(_REASONS), f"{name} has ended by itself:\n{program.log()[-4000:]}"
                self._report(f"{name} could not start: {said}")
            if ended:
                await asyncio.sleep(PAUSE)
            for name, program in ended.items():
                # Somebody else may have killed and started it meanwhile.
                if program.has_ended:
                    program.start()
                    self.restarts[name] += 1


_REASONS = ("proton-server: ", "proton-shim-server: ")
"""How the last line begins of a program that says why it can't start."""
