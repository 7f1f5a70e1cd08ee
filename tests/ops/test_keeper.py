from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gluon.ops.child import Role
from gluon.ops.keeper import LONGEST_DELAY, Keeper
from ops.processes import eventually_async, runs


@asynccontextmanager
async def keeping(script: str, log: Path, report: Callable[[str], None]) -> AsyncIterator[Keeper]:
    keeper = Keeper(
        Role("stand-in", ("sh", "-c", script), log, dict(os.environ)), report, changed=lambda: None
    )
    task = asyncio.create_task(keeper.run())
    await eventually_async(lambda: keeper.pid)
    try:
        yield keeper
    finally:
        await keeper.stop(grace=1)
        await task


async def test_a_role_that_was_killed_runs_again_a_second_later(tmp_path: Path) -> None:
    lines: list[str] = []
    async with keeping("exec sleep 1000", tmp_path / "log", lines.append) as keeper:
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        await eventually_async(lambda: keeper.pid not in (None, first))
        assert 0.9 < time.monotonic() - killed < 5
        assert lines == [
            f"stand-in (pid {first}) was killed by SIGKILL; it starts again in 1 s",
            f"stand-in runs again (pid {keeper.pid})",
        ]


async def test_a_role_that_dies_at_once_again_and_again_is_tried_less_often_and_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gluon.ops.keeper.RESTART_DELAY", 0.01)
    lines: list[str] = []
    async with keeping("echo no such table; exit 3", tmp_path / "a.log", lines.append) as keeper:
        await eventually_async(lambda: keeper.deaths >= 5)
    deaths = [line for line in lines if "ended with exit code 3" in line]
    assert [line.rpartition(" in ")[2] for line in deaths[:5]] == [
        "0.01 s",
        "0.01 s",
        "0.02 s",
        "0.04 s",
        "0.08 s",
    ]
    assert "  a.log: no such table" in lines


async def test_the_delay_is_bounded(tmp_path: Path) -> None:
    keeper = Keeper(Role("x", ("true",), tmp_path / "log", {}), lambda line: None, lambda: None)
    keeper.deaths_at_once = 10_000
    assert keeper._delay() == LONGEST_DELAY


async def test_a_keeper_that_is_told_to_stop_while_it_waits_stops(tmp_path: Path) -> None:
    async with keeping("exit 1", tmp_path / "log", lambda line: None) as keeper:
        await eventually_async(lambda: keeper.deaths == 1 and keeper.pid is None)
        before = time.monotonic()
        await keeper.stop()
        assert time.monotonic() - before < 0.5


async def test_kill_gives_no_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    async with keeping(script, tmp_path / "log", lambda line: None) as keeper:
        await eventually_async(keeper.last_words)
        pid = keeper.pid
        assert pid is not None
        keeper.kill()
        await eventually_async(lambda: not runs(pid), within=2)
