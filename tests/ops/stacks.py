"""`gluon up` as a test runs it: on free ports, in a directory of its own, ended whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GLUON = Path(sys.executable).with_name("gluon")


@dataclass(frozen=True)
class RunningStack:
    """What was announced, and the process that announced it."""

    process: subprocess.Popen[str]
    url: str
    etcd: str
    database: str
    state_dir: Path
    pids: Mapping[str, int]

    def pids_now(self) -> dict[str, int]:
        told: dict[str, int] = json.loads((self.state_dir / "stack.json").read_text())["pids"]
        return told

    def request(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        message = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(message, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def answers(self) -> bool:
        try:
            self.request("GET", "/healthcheck")
        except OSError:
            return False
        return True


def start(state_dir: Path, *options: str) -> subprocess.Popen[str]:
    command = [GLUON, "up", "--json", "--port", "0", "--state-dir", state_dir, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def running(state_dir: Path, *options: str) -> Iterator[RunningStack]:
    process = start(state_dir, *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"gluon up did not start: {process.communicate()[1]}"
        told = json.loads(line)
        yield RunningStack(
            process, told["proton"], told["etcd"], told["database"], Path(told["state_dir"]), told["pids"]
        )
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it wrote to stderr, after SIGTERM."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=40)[1]
    return process.returncode, errors


def refused(state_dir: Path, *options: str, **environment: str) -> str:
    """The one line with which `gluon up` refuses to start."""
    command = [GLUON, "up", "--port", "0", "--state-dir", state_dir, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment or None)
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line
