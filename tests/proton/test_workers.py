"""Supervision, with workers that do nothing but live and die as the test says."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from os import kill
from pathlib import Path

import pytest

from gluon.proton import workers as module
from gluon.proton.workers import CannotWork, Worker, Workers

SCRIPT = """
import os, signal, sys, time
number, report, folder, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
attempt = len([name for name in os.listdir(folder) if name.startswith(f"{number}-")])
open(f"{folder}/{number}-{attempt}-{os.getpid()}", "w").close()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
exec(what)
"""

SERVE = "os.write(report, b'ready\\n'); time.sleep(600)"


class Site:
    """Workers of one server, and what became of them."""

    def __init__(self, folder: Path, what: str, count: int = 2, grace: float = 20.0) -> None:
        self.folder = folder
        self.left: list[int] = []
        self.closed = 0
        self.what = what
        self.workers = Workers(
            count, self._command, (), grace=grace, close=self._close, left=self.left.append
        )

    def _command(self, number: int, report: int) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", SCRIPT, *map(str, (number, report, self.folder, self.what))]

    def _close(self) -> None:
        self.closed += 1

    def starts(self, number: int) -> list[int]:
        """The pids of a worker, in order."""
        found = [path.name.split("-") for path in self.folder.glob(f"{number}-*")]
        return [int(pid) for _, _, pid in sorted(found, key=lambda parts: int(parts[1]))]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.workers.run())
        try:
            yield task
        finally:
            self.workers.stop()
            with suppress(CannotWork):
                await task


async def eventually(condition: Callable[[], object], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def is_there(pid: int) -> bool:
    with suppress(ProcessLookupError):
        kill(pid, 0)
        return True
    return False


async def test_all_workers_run_and_all_end_when_told_to(tmp_path: Path) -> None:
    site = Site(tmp_path, SERVE, count=3)
    async with site.running() as task:
        await eventually(lambda: all(site.starts(number) for number in range(3)))
        pids = [site.starts(number)[0] for number in range(3)]
        site.workers.stop()
        await asyncio.wait_for(task, 20)
    assert not any(map(is_there, pids))
    assert site.closed == 1


async def test_the_others_start_when_the_first_is_ready(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"\nwhile number == 0 and not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    site = Site(tmp_path, wait + SERVE)
    async with site.running():
        await eventually(lambda: site.starts(0))
        with pytest.raises(TimeoutError):
            await eventually(lambda: site.starts(1), within=0.3)
        go.touch()
        await eventually(lambda: site.starts(1))


async def test_a_worker_that_dies_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, SERVE)
    async with site.running():
        await eventually(lambda: site.starts(0) and site.starts(1))
        other = site.starts(0)[0]
        kill(site.starts(1)[0], signal.SIGKILL)
        await eventually(lambda: len(site.starts(1)) == 2)
        assert is_there(other)
        assert site.left == [1]
    (line,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith("worker 1 (pid ") and "signal 9" in line and "starts again in" in line


async def test_who_dies_at_once_again_and_again_is_started_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
    monkeypatch.setattr(module, "_LONGEST_DELAY", 0.2)
    site = Site(tmp_path, "os.write(report, b'ready\\n'); sys.exit(3 if number else time.sleep(600))")
    async with site.running() as task:
        # It was ready each time: that is no reason to end the server.
        await eventually(lambda: len(site.starts(1)) >= 6)
        assert not task.done()


async def test_a_reason_to_end_before_anything_served_ends_the_server(tmp_path: Path) -> None:
    site = Site(tmp_path, "os.write(report, b'the database is elsewhere\\n'); sys.exit(1)")
    async with site.running() as task:
        with pytest.raises(CannotWork, match=r"^the database is elsewhere$"):
            await task
    assert (len(site.starts(0)), len(site.starts(1))) == (1, 0)


async def test_workers_that_crash_before_anything_served_end_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
    site = Site(tmp_path, "os.abort()")
    async with site.running() as task:
        with pytest.raises(CannotWork, match="worker 0 was killed by signal 6"):
            await task
    assert len(site.starts(0)) == 3


async def test_a_second_worker_that_never_starts_ends_the_first_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
    site = Site(tmp_path, "number and (os.write(report, b'no room\\n'), sys.exit(1))\n" + SERVE)
    async with site.running() as task:
        with pytest.raises(CannotWork, match=r"^no room$"):
            await task
    assert len(site.starts(1)) == 3
    assert not is_there(site.starts(0)[0])


async def test_a_worker_that_was_up_once_is_tried_again_whatever_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
    monkeypatch.setattr(module, "_LONGEST_DELAY", 0.05)
    site = Site(
        tmp_path, "attempt in range(1, 6) and (os.write(report, b'no database\\n'), sys.exit(1))\n" + SERVE
    )
    async with site.running() as task:
        await eventually(lambda: site.starts(0) and site.starts(1))
        kill(site.starts(0)[0], signal.SIGKILL)
        await eventually(lambda: len(site.starts(0)) == 7)
        assert not task.done()


async def test_who_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    site = Site(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVE, count=1, grace=0.2)
    async with site.running() as task:
        await eventually(lambda: site.starts(0))
        pid = site.starts(0)[0]
        site.workers.stop()
        await asyncio.wait_for(task, 20)
    assert not is_there(pid)


async def test_a_worker_that_is_paused_still_ends(tmp_path: Path) -> None:
    site = Site(tmp_path, SERVE, count=1)
    async with site.running() as task:
        await eventually(lambda: site.starts(0))
        kill(site.starts(0)[0], signal.SIGSTOP)
        site.workers.stop()
        await asyncio.wait_for(task, 20)


async def test_what_a_worker_says_last_is_heard(tmp_path: Path) -> None:
    command = Site(tmp_path, "os.write(report, b'ready\\nthis\\nand that\\n'); os._exit(4)")._command
    worker = Worker(0, command, ())
    assert await worker.exited == 4
    assert worker.is_ready.is_set()
    assert worker.fate() == "ended with exit code 4: and that"
