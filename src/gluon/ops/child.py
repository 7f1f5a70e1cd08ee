"""One process of a role: started on a leash, in a process group of its own, with its output in a log."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LEASH = str(Path(__file__).with_name("leash.py"))

_LARGEST_LOG = 16 * 1024 * 1024
"""A log that has grown beyond this is set aside (one old one is kept) when its role starts anew."""


@dataclass(frozen=True, slots=True)
class Role:
    """What is to run under a name, and where its output goes."""

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]


class Child:
    """A running process. Make it inside an event loop; `exited` gives its return code once it is gone.

    Whatever it started in its process group is killed with it, so that a dead role leaves no workers.
    """

    def __init__(self, role: Role) -> None:
        if role.log.exists() and role.log.stat().st_size > _LARGEST_LOG:
            role.log.replace(role.log.with_suffix(".log.1"))
        with role.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _LEASH, str(os.getpid()), *role.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(role.environment),
                process_group=0,
            )
        self._role = role
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        """Of the process itself, which also leads the group."""
        return self._process.pid

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Before wait(): while the leader is a zombie its number can't become another group's.
        self._kill_group()
        returncode = self._process.wait()
        if not self.exited.done():
            self.exited.set_result(returncode)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it and its group at once."""
        if not self.exited.done():
            self._kill_group()

    async def stop(self, grace: float) -> None:
        """Ask it to end, and kill it and its group when it hasn't after `grace` seconds."""
        if not self.exited.done():
            # One that was stopped (SIGSTOP) sees the request only when it continues.
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)
            await asyncio.wait([self.exited], timeout=grace)
        self.kill()
        await self.exited

    def last_words(self, lines: int = 5) -> list[str]:
        """The last lines that this process has written to its log."""
        with self._role.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - 8192))
            text = log.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]


def describe_exit(returncode: int) -> str:
    """A return code as a person would say it: `was killed by SIGKILL`, `ended with exit code 1`."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"
