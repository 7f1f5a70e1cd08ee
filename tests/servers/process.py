"""A server's process: started, asked to end, killed, paused; gone when the tests are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gluon.ops import leash

PATIENCE = 30.0
_POLL = 0.02


class ServerProcess:
    """One server's process, as often as it is started.

    Start it from the main thread: the kernel kills it when the thread that started it is gone, so that no
    test run leaves one behind.
    """

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process: it may be paused."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        assert self._process is None, f"{self.name} is running already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env=environment,
            )

    def wait_until(self, answers: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Return when it answers; raises RuntimeError with the end of its log when it doesn't."""
        deadline = time.monotonic() + patience
        while not answers():
            process = self._process
            assert process is not None, f"{self.name} is not running"
            if process.poll() is not None or time.monotonic() > deadline:
                log = self.log.read_text(errors="replace")
                raise RuntimeError(
                    f"{self.name} did not come up: exit code {process.returncode}\n{log[-3000:]}"
                )
            time.sleep(_POLL)

    def end(self, number: signal.Signals) -> None:
        """Send it a signal that ends it; return when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal that it outlives."""
        os.kill(self.pid, number)
