"""The parent of several worker processes: starts them, starts again those that die, and ends them all.

It holds the listening socket and nothing else: no database, no etcd, no models. The first worker comes
first; when it serves, the database is prepared, and the others start. Each worker that dies is started again,
with a growing delay while they die at once. One that can't even start ends the server, while none has been up
yet: a service manager, and whoever has just changed a setting, should hear of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any

from gluon.etcd.backoff import Backoff

_log = logging.getLogger(__name__)

READY = "ready"
"""What a worker reports when it serves; anything else is the reason why it can't."""

_WORKER = "gluon.proton.worker"

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
"""Seconds before a worker that died is started again; doubled up to the last."""

_AT_ONCE = 5.0
"""Seconds; who lives shorter than this once it is ready has died at once."""

_DEATHS_BEFORE_GIVING_UP = 3
"""Who dies that often in a row before it was ever ready won't get better by trying."""

WorkerCommand = Callable[[int, int], Sequence[str]]
"""What to run as the worker with that number (from 0 on), which reports to that file descriptor."""


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's place in its server: what its parent gives it. The file descriptors are inherited."""

    parent: int
    """Process id."""
    number: int
    """From 0 on."""
    workers: int
    listening: int
    """File descriptor of the bound socket."""
    crowd: int
    """File descriptor of the memory where workers tell how busy they are."""
    report: int
    """File descriptor to say `ready` to, or why it can't be."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What to run, with the server's own arguments; -P: not from the current directory."""
        place = [str(number) for number in astuple(self)]
        return [sys.executable, "-P", "-m", _WORKER, *place, *arguments]


class CannotWork(Exception):
    """No worker can be had; says why in one line."""


class Worker:
    """One worker process. Make it inside an event loop; `exited` is its return code once it is gone."""

    def __init__(
        self,
        number: int,
        command: WorkerCommand,
        inherited: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.is_ready = asyncio.Event()
        self.reason: str | None = None
        """Why it can't serve, in its own words."""
        self._report, to_us = os.pipe()
        os.set_blocking(self._report, False)
        try:
            self._process = subprocess.Popen(
                command(number, to_us),
                stdin=subprocess.DEVNULL,
                pass_fds=(*inherited, to_us),
                env={**os.environ, **(environment or {})},
            )
        except BaseException:
            os.close(self._report)
            raise
        finally:
            os.close(to_us)
        self._heard = b""
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(self._report, self._hear)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            if heard := os.read(self._report, 65536):
                *lines, self._heard = (self._heard + heard).split(b"\n")
                for line in lines:
                    if line.decode() == READY:
                        self.is_ready.set()
                    else:
                        self.reason = line.decode(errors="replace")
            else:
                self._loop.remove_reader(self._report)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Its last words may have come together with its end.
        self._hear()
        self._loop.remove_reader(self._report)
        os.close(self._report)
        self.exited.set_result(self._process.wait())

    def end(self) -> None:
        """Ask it to end."""
        if not self.exited.done():
            self._process.send_signal(signal.SIGTERM)
            # One that was stopped (SIGSTOP) sees the request only when it continues.
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if not self.exited.done():
            self._process.kill()

    def fate(self) -> str:
        """How it ended, in words."""
        code = self.exited.result()
        why = f": {self.reason}" if self.reason else ""
        if code < 0:
            return f"was killed by signal {-code} ({signal.strsignal(-code)}){why}"
        return f"ended with exit code {code}{why}"


class Workers:
    """Keeps `count` workers running until `stop`, and then gives them `grace` seconds to end."""

    def __init__(
        self,
        count: int,
        command: WorkerCommand,
        inherited: Sequence[int],
        *,
        grace: float,
        close: Callable[[], None],
        left: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
        died: Callable[[int], None] | None = None,
    ) -> None:
        """`inherited`: file descriptors for the workers. `close` is called before they are told to end: a
        socket that only the parent still holds has nobody to accept from it. `left` is called with the number
        of a worker that died, `died` with its process id. `environment` is what workers have beside ours.
        """
        self._count = count
        self._command = command
        self._inherited = inherited
        self._grace = grace
        self._close = close
        self._left = left
        self._environment = environment or {}
        self._died = died
        self._workers: dict[int, Worker] = {}
        self._any_ready = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Have `run` end the workers and return; asked a second time, at once."""
        if self._stop.is_set():
            for worker in self._workers.values():
                worker.kill()
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`. Raises CannotWork; no worker runs any more after either end."""
        stopping, serving = (asyncio.ensure_future(e.wait()) for e in (self._stop, self._any_ready))
        keeping = [asyncio.ensure_future(self._keep(0))]
        try:
            await asyncio.wait([stopping, serving, *keeping], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                keeping += [asyncio.ensure_future(self._keep(number)) for number in range(1, self._count)]
            done, _ = await asyncio.wait([stopping, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = [stopping, serving, *keeping]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._end()

    async def _keep(self, number: int) -> None:
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY)
        deaths = 0
        was_ready = False
        while True:
            try:
                worker = self._workers[number] = Worker(
                    number, self._command, self._inherited, self._environment
                )
            except OSError as error:
                delay = backoff.delay()
                _log.error("worker %d can't be started, trying again in %.1f s: %s", number, delay, error)
                await asyncio.sleep(delay)
                continue
            if deaths:
                _log.info("worker %d runs again (pid %d)", number, worker.pid)
            if await self._becomes_ready(worker):
                was_ready = True
                self._any_ready.set()
                await asyncio.wait([worker.exited], timeout=_AT_ONCE)
                if not worker.exited.done():
                    backoff.reset()
            await asyncio.wait([worker.exited])
            self._left(number)
            if self._died is not None:
                self._died(worker.pid)
            deaths += 1
            hopeless = deaths == _DEATHS_BEFORE_GIVING_UP or (not self._any_ready.is_set() and worker.reason)
            if hopeless and not was_ready:
                raise CannotWork(worker.reason or f"the workers don't start: worker {number} {worker.fate()}")
            delay = backoff.delay()
            _log.error(
                "worker %d (pid %d) %s; it starts again in %.1f s", number, worker.pid, worker.fate(), delay
            )
            await asyncio.sleep(delay)

    @staticmethod
    async def _becomes_ready(worker: Worker) -> bool:
        ready = asyncio.ensure_future(worker.is_ready.wait())
        either: list[asyncio.Future[Any]] = [ready, worker.exited]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return worker.is_ready.is_set()

    async def _end(self) -> None:
        self._close()
        exits = [worker.exited for worker in self._workers.values()]
        if not exits:
            return
        for worker in self._workers.values():
            worker.end()
        _, late = await asyncio.wait(exits, timeout=self._grace)
        for worker in self._workers.values():
            if worker.exited in late:
                _log.error("worker (pid %d) did not end within %g s, and is killed", worker.pid, self._grace)
                worker.kill()
        await asyncio.wait(exits)
