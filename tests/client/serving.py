"""A `proton-server` of its own, with etcd, that can be stopped, killed and started again where it was."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from servers.etcd import free_ports

PROTON_SERVER = str(Path(sys.executable).with_name("proton-server"))


class ServerProcess:
    """The command on one port and one database."""

    def __init__(self, directory: Path, etcd_port: int, prefix: str, *, bind_timeout: float = 0.5) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / "proton.conf"
        self._log = directory / "log"
        self._config.write_text(
            f"[api]\nport = {port}\netcd_port = {etcd_port}\nbind_timeout = {bind_timeout}\n"
            f"[etcd]\nprefix = {prefix}\n"
            f"[database]\nconnection = sqlite:///{directory}/gluon.sqlite\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers when this returns."""
        with self._log.open("ab") as log:
            at = log.tell()
            command = [PROTON_SERVER, "--config-file", str(self._config)]
            self._process = subprocess.Popen(command, stderr=log)
        while not re.search(rb"listening on", self._log.read_bytes()[at:]):
            try:
                code = self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"it ended with {code}: {self._log.read_text()}")

    def stop(self) -> None:
        """In order; fails when it ends otherwise."""
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(60) == 0
        self._process = None

    def kill(self) -> None:
        """At once; nothing happens when it isn't running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
