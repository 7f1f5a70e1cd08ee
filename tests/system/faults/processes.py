"""The product's own processes for tests that hurt them: each on a leash, with its output in a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from gluon.ops import leash

_PATIENCE = 30.0


class Program:
    """One process, started as often as a test likes. Start it from the main thread (see EtcdServer)."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def installed(cls, script: str, config: Path, name: str) -> Program:
        """A console script of the environment that the tests run in, with a configuration file."""
        command = [str(Path(sys.executable).with_name(script)), "--config-file", str(config)]
        return cls(name, command, config.with_name(f"{name}.log"))

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def has_ended(self) -> bool:
        """Whether it was started, and is gone without anybody having asked it to."""
        return self._process is not None and self._process.poll() is not None

    def must_run(self) -> None:
        """RuntimeError, which nobody waits out, when it has ended."""
        if not self.is_running:
            raise RuntimeError(f"{self.name} has ended:\n{self.log()[-2000:]}")

    def start(self) -> None:
        assert not self.is_running, f"{self.name} is running already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """As an operator would; its exit code once it is gone."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, paused or not; returns when it is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def log(self) -> str:
        """All that it has written, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _send(self, number: signal.Signals) -> None:
        """Popen, unlike os.kill, leaves a process alone that has ended and whose id another one may have."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} did not end on {number.name}:\n{self.log()[-2000:]}") from None
