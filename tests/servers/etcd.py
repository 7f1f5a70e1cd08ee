"""A real etcd for tests: on free loopback ports, in a directory of its own, and easy to hurt."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gluon.ops import leash

_PATIENCE = 30.0
_POLL = 0.02
# Test processes that run at the same time have ports of their own, by the last digit.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")) % 10
_PORTS = range(10_000 + _WORKER, 20_000, 10)


class EtcdServer:
    """One etcd. It comes back on the same ports and with the same data as often as it is started.

    Start it from the main thread: the kernel kills it when the thread that started it is gone, so that no
    test run leaves one behind.
    """

    def __init__(self, directory: Path, *, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port, self._peer_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None, "etcd is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it; `wait_ready` or `ready` tells when it answers."""
        assert self._process is None, "etcd is running already"
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # Not by preexec_fn: that forks, which gRPC's threads in this process don't survive.
                    *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
                    *self.command(),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("ETCD_")},
            )

    def command(self) -> Sequence[str]:
        """The command line, without the options that were given."""
        peers = f"http://127.0.0.1:{self._peer_port}"
        return (
            program(),
            *("--name", "test", "--data-dir", str(self.data)),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"test={peers}", "--log-level", "error", "--logger", "zap"),
            # A single member is its own leader: it need not wait long for others.
            *("--heartbeat-interval", "20", "--election-timeout", "200"),
        )

    @property
    def health_url(self) -> str:
        """Where it tells whether it works."""
        return f"{self.url}/health"

    @property
    def running(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    def wait_ready(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + _PATIENCE
        while not self._answers(deadline):
            time.sleep(_POLL)

    async def ready(self) -> None:
        """The same, for a running event loop."""
        deadline = time.monotonic() + _PATIENCE
        while not await asyncio.to_thread(self._answers, deadline):
            await asyncio.sleep(_POLL)

    def stop(self) -> None:
        """Ask it to end, as an operator would; return when it has."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, paused or not; return when it is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Remove its data while it is not running."""
        assert self._process is None, "etcd is running"
        shutil.rmtree(self.data)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self, deadline: float) -> bool:
        process = self._process
        assert process is not None, "etcd is not running"
        if process.poll() is not None or time.monotonic() > deadline:
            log = (self.directory / "etcd.log").read_text(errors="replace")
            raise RuntimeError(f"etcd did not come up: exit code {process.returncode}\n{log[-2000:]}")
        try:
            with urllib.request.urlopen(self.health_url, timeout=1.0) as answer:
                return b"true" in answer.read()
        except (urllib.error.URLError, OSError):
            return False


def program() -> str:
    """The etcd to run: what make has found, else one on PATH."""
    found = os.environ.get("GLUON_ETCD") or shutil.which("etcd")
    if found is None:
        raise RuntimeError("there is no etcd: run tests with make, or set GLUON_ETCD=$(scripts/get-etcd)")
    return found


_given: deque[int] = deque(maxlen=200)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that are free now, and that none of the last calls has given.

    Their servers may still be about to start. They are below those that Linux gives to outgoing connections:
    none can take the port of a server that restarts.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _given:
            continue
        with socket.socket() as probe:
            # As servers do it: a port whose old connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            _given.extend(found)
            return found
    raise RuntimeError(f"no {count} ports are free from {_PORTS.start} to {_PORTS.stop - 1}")
