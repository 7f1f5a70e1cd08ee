"""An etcd of the suite's own, which ends with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gluon.shim.errors import ShimError

_PATIENCE = 30.0
"""Seconds that it has for its start."""


class NoEtcd(ShimError):
    """There is no etcd to run."""


@contextmanager
def running_etcd() -> Iterator[str]:
    """The URL of one on free ports: `$GLUON_ETCD`, else the one on PATH. Raises NoEtcd."""
    program = os.environ.get("GLUON_ETCD") or shutil.which("etcd")
    if program is None:
        raise NoEtcd("there is no etcd: install one, name one with GLUON_ETCD, or a running one with --etcd")
    with tempfile.TemporaryDirectory(prefix="gluon-conformance-") as folder:
        clients, peers = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
        command = [
            *(program, "--name", "conformance", "--data-dir", str(Path(folder) / "data")),
            *("--listen-client-urls", clients, "--advertise-client-urls", clients),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"conformance={peers}", "--log-level", "error"),
            *("--heartbeat-interval", "20", "--election-timeout", "200"),
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        with (Path(folder) / "log").open("wb") as log:
            try:
                process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            except OSError as error:
                raise NoEtcd(f"{program} can't be run: {error.strerror}") from error
            try:
                _wait_until_ready(process, clients)
                yield clients
            finally:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise NoEtcd("the etcd that was started for the checks doesn't answer")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]
