"""Metrics of several processes that are shown as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gluon.telemetry.worker_files import WorkerFiles

WORKER = """
import sys
from gluon.telemetry.catalogue import Catalogue
catalogue = Catalogue()
assert catalogue.is_shared
catalogue.counter("served_total", "Meals.").inc(int(sys.argv[1]))
catalogue.gauge("guests", "Now.", across="livesum").set(int(sys.argv[1]))
catalogue.gauge("slowest", "Seconds.", across="livemax").set(int(sys.argv[1]))
catalogue.histogram("wait_seconds", "Waits.", buckets=(1.0,)).observe(0.5)
print("ready", flush=True)
for line in sys.stdin:
    sys.stdout.buffer.write(catalogue.text() + b"end\\n")
    sys.stdout.flush()
"""


class Worker:
    def __init__(self, files: WorkerFiles, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **files.environment()},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def shows(self) -> set[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        lines = set()
        while (line := self.process.stdout.readline().decode().strip()) != "end":
            assert self.process.poll() is None
            lines.add(line)
        return lines

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[WorkerFiles]:
    with WorkerFiles(within=tmp_path) as directory:
        yield directory


def test_each_worker_shows_all_until_one_dies(files: WorkerFiles) -> None:
    workers = [Worker(files, number) for number in (1, 2)]
    try:
        for worker in workers:
            shown = worker.shows()
            assert {"served_total 3.0", "guests 3.0", "slowest 2.0", "wait_seconds_count 2.0"} <= shown
        of_both = float(next(s for s in shown if s.startswith("process_open_fds")).split()[1])

        workers[1].kill()
        files.died(workers[1].process.pid)
        shown = workers[0].shows()

        # What it had counted has happened; what it had is gone.
        assert {"served_total 3.0", "guests 1.0", "slowest 1.0", "wait_seconds_count 2.0"} <= shown
        of_one = float(next(s for s in shown if s.startswith("process_open_fds")).split()[1])
        assert 0 < of_one < of_both
    finally:
        for worker in workers:
            worker.kill()


PARENT = """
import sys, time
from pathlib import Path
from gluon.telemetry.worker_files import WorkerFiles
with WorkerFiles(within=Path(sys.argv[1])) as files:
    print(files.path, flush=True)
    sys.stdin.read()
"""


def test_the_directory_of_a_parent_that_was_killed_is_removed_by_the_next_and_no_other(
    tmp_path: Path,
) -> None:
    def parent() -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", PARENT, str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, orphan), (alive, used) = parent(), parent()
    try:
        killed.kill()
        killed.communicate()
        assert orphan.is_dir()
        strange = tmp_path / "another"
        strange.mkdir()
        with WorkerFiles(within=tmp_path) as files:
            assert sorted(tmp_path.iterdir()) == sorted([strange, used, files.path])
        assert sorted(tmp_path.iterdir()) == sorted([strange, used])
        alive.communicate("")
        assert list(tmp_path.iterdir()) == [strange]
    finally:
        alive.kill()
        alive.communicate()


def test_directories_of_the_last_release_belong_to_the_process_in_their_names(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    orphan, used = (tmp_path / f"gluon-metrics-{pid}-abc" for pid in (dead.pid, os.getpid()))
    orphan.mkdir()
    used.mkdir()
    with WorkerFiles(within=tmp_path) as files:
        assert sorted(tmp_path.iterdir()) == sorted([used, files.path])
