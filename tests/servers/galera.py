"""A real Galera cluster for tests: MariaDB nodes on loopback ports, and an arbitrator that votes with them.

Two nodes alone can't tell a node that died from one that was cut off, so the one that is left stops. The
arbitrator (garbd), which keeps no data, makes a majority with either of them, as Galera's documentation asks
of whoever has two nodes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from servers.etcd import free_ports
from servers.mariadb import MariadbServer
from servers.process import ServerProcess
from servers.programs import find_program, program_environment

_NAME = "gluon-test"
_PATIENCE = 120.0
"""Seconds: a copy of all data by rsync takes half a minute of a busy machine."""

# rsync's daemon, which receives a node's first copy of the data, becomes `nobody` where root starts it.
_RSYNC = """#!/bin/sh
previous=
for argument in "$@"; do
    [ "$previous" = --config ] && sed -i '1i uid = {uid}\\ngid = {gid}' "$argument"
    previous=$argument
done
exec {rsync} "$@"
"""


class GaleraNode(MariadbServer):
    """One node; see MariadbServer. Its cluster starts it."""

    def __init__(self, directory: Path, number: int, group_port: int, members: str) -> None:
        transfer, ist = free_ports(2)
        provider = [
            f"gmcast.listen_addr=tcp://127.0.0.1:{group_port}",
            f"ist.recv_addr=127.0.0.1:{ist}",
            "gcache.size=32M",
        ]
        self._programs = directory / "programs"
        super().__init__(
            directory,
            options=[
                # It looks for programs in its own bin/ first.
                f"--basedir={self._programs}",
                *("--wsrep-on=ON", f"--wsrep-provider={find_program('libgalera_smm.so')}"),
                *(f"--wsrep-cluster-name={_NAME}", f"--wsrep-cluster-address=gcomm://{members}"),
                *(f"--wsrep-node-name=node{number}", f"--wsrep-node-address=127.0.0.1:{group_port}"),
                *("--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{transfer}"),
                f"--wsrep-provider-options={';'.join(provider)}",
                *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-slave-threads=4"),
            ],
        )

    def bootstrap(self) -> None:
        """Begin a new cluster, of this node alone."""
        self.start("--wsrep-new-cluster")

    def rejoin(self) -> None:
        """Start it again after it was killed, where its own data end, as a node's service does."""
        self.start(f"--wsrep-start-position={self._position()}")

    def start(self, *more: str) -> None:
        """Start it, as a member of the cluster that there is."""
        wrapper = self._programs / "bin/rsync"
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(_RSYNC.format(rsync=find_program("rsync"), uid=os.getuid(), gid=os.getgid()))
        wrapper.chmod(0o755)
        if not more and not self.data.exists():
            # It gets all of its data from another node.
            self.data.mkdir()
            self.write_init_file()
        super().start(*more)

    def wait_ready(self) -> None:
        """Return when it takes part in the cluster, for which it may need all data from another node."""
        self._process.wait_until(self.answers, _PATIENCE)

    def answers(self) -> bool:
        """Whether it takes part in the cluster, up to date."""
        return super().answers() and self.status("wsrep_ready") == "ON" and self._synced()

    def status(self, name: str) -> str:
        """One of the cluster's status variables, as this node sees it."""
        rows = self.query(f"SHOW STATUS LIKE '{name}'")
        return rows[0][1] if rows else ""

    def _synced(self) -> bool:
        return self.status("wsrep_local_state_comment") == "Synced"

    def _position(self) -> str:
        """The last transaction of the cluster that its data have in them."""
        log = self.directory / "recover.log"
        subprocess.run(
            [*self._command(), "--wsrep-recover", f"--log-error={log}"],
            env=program_environment(),
            timeout=60,
            check=False,
            capture_output=True,
        )
        found = re.findall(r"WSREP: Recovered position: (\S+)", log.read_text(errors="replace"))
        if not found:
            raise RuntimeError(f"no position was found: {log.read_text(errors='replace')[-2000:]}")
        return str(found[-1])


class GaleraCluster:
    """Nodes that can all be written to."""

    def __init__(self, directory: Path, size: int = 2) -> None:
        ports = free_ports(size + 1)
        members = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.nodes = [
            GaleraNode(directory / f"node{number}", number, port, members)
            for number, port in enumerate(ports[:size])
        ]
        self._members = members
        self._arbitrator_port = ports[size]
        self._arbitrator = ServerProcess("garbd", directory / "arbitrator" / "garbd.log")

    def start(self) -> None:
        """Start all; return when they are one cluster."""
        first, *others = self.nodes
        first.bootstrap()
        first.wait_ready()
        self._arbitrator.start(
            [
                str(find_program("garbd")),
                *("--group", _NAME, "--address", f"gcomm://{self._members}"),
                *("--options", f"gmcast.listen_addr=tcp://127.0.0.1:{self._arbitrator_port}"),
            ],
            program_environment(),
        )
        for node in others:
            node.start()
        for node in others:
            node.wait_ready()
        self._arbitrator.wait_until(lambda: self.size == len(self.nodes) + 1)

    @property
    def size(self) -> int:
        """How many members there are, the arbitrator among them, as the first node sees it."""
        return int(self.nodes[0].status("wsrep_cluster_size"))

    def url(self, database: str) -> str:
        """The URL of a database on all nodes, the first one preferred."""
        first, *others = self.nodes
        hosts = "&".join(f"host=127.0.0.1:{node.port}" for node in others)
        return f"{first.url(database)}?{hosts}"

    def kill(self) -> None:
        """kill -9 of all."""
        for node in self.nodes:
            node.kill()
        self._arbitrator.end(signal.SIGKILL)
