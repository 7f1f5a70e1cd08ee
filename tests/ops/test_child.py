from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from gluon.ops.child import Child, Role, describe_exit
from ops.processes import eventually, eventually_async, runs

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
WITH_WORKER = "sleep 1000 & echo $!; wait"

PARENT = """
import asyncio, os, sys
from pathlib import Path
from gluon.ops.child import Child, Role

async def main():
    child = Child(Role("sleeper", ("sleep", "1000"), Path(sys.argv[1]), dict(os.environ)))
    print(child.pid, flush=True)
    await child.exited

asyncio.run(main())
"""


def shell(script: str, log: Path) -> Role:
    return Role("stand-in", ("sh", "-c", script), log, dict(os.environ))


async def test_a_child_keeps_its_pid_through_the_leash_and_leads_its_own_group(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child(shell("echo $$", log))
    assert await child.exited == 0
    assert log.read_text() == f"{child.pid}\n"
    assert child.pid != os.getpgrp()


async def test_a_child_that_ignores_sigterm_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    child = Child(shell(STUBBORN, tmp_path / "log"))
    await eventually_async(child.last_words)
    await child.stop(grace=0.3)
    assert await child.exited == -signal.SIGKILL


async def test_a_stopped_child_still_ends_on_request(tmp_path: Path) -> None:
    child = Child(shell("echo ready; sleep 1000", tmp_path / "log"))
    await eventually_async(child.last_words)
    os.kill(child.pid, signal.SIGSTOP)
    await child.stop(grace=10)
    assert await child.exited == -signal.SIGTERM


async def test_the_death_of_a_child_ends_its_workers(tmp_path: Path) -> None:
    child = Child(shell(WITH_WORKER, tmp_path / "log"))
    await eventually_async(child.last_words)
    worker = int(child.last_words()[0])
    os.kill(child.pid, signal.SIGKILL)
    await child.exited
    await eventually_async(lambda: not runs(worker))


async def test_a_command_that_does_not_exist_says_so_in_the_log(tmp_path: Path) -> None:
    child = Child(Role("nothing", ("/no/such/program",), tmp_path / "log", dict(os.environ)))
    assert await child.exited == 1
    assert child.last_words() == ["/no/such/program: No such file or directory"]


async def test_last_words_are_those_of_this_process_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of the one before\n")
    child = Child(shell("echo one; echo; echo two; echo three", log))
    await child.exited
    assert child.last_words(lines=2) == ["two", "three"]


async def test_a_log_that_has_grown_large_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "role.log"
    with log.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    child = Child(shell("echo fresh", log))
    await child.exited
    assert log.read_text() == "fresh\n"
    assert (tmp_path / "role.log.1").exists()


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not runs(child))


def test_a_return_code_is_told_in_words() -> None:
    assert describe_exit(3) == "ended with exit code 3"
    assert describe_exit(-9) == "was killed by SIGKILL"
