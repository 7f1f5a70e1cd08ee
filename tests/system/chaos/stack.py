"""Everything at once: two servers, three members of etcd, a database, two shims, cables that can be cut."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from servers.etcd import free_ports
from servers.etcd_cluster import EtcdCluster
from system.chaos.cable import Cable
from system.chaos.databases import DATABASES, ChaosDatabase, Part
from system.chaos.plan import Fault
from system.faults.eventually import eventually
from system.faults.processes import Program
from system.faults.stack import SERVICE, Shim, Stack

BIND_TIMEOUT = 1.0
LEASE = 2
_START = 60.0
"""Seconds in which every server answers that is started with all else."""

SHIMS = {"shim-1": ("compute-1", "compute-2"), "shim-2": ("compute-2", "compute-3")}
"""Both answer for compute-2: binds there are contended for."""


@dataclass(frozen=True)
class Line:
    """The cables from one program to all of what it speaks to there."""

    cables: Sequence[Cable]

    def cut(self) -> None:
        for cable in self.cables:
            cable.cut()

    def mend(self) -> None:
        for cable in self.cables:
            cable.mend()


class ChaosStack(Stack):
    """The stack that clients and checks know, with more than one of everything.

    Checks reach etcd without a cable, and the servers in turn.
    """

    def __init__(self, folder: Path, database: ChaosDatabase) -> None:
        self.cluster = EtcdCluster(folder / "etcd")
        self.database = database
        self.servers: dict[str, Program] = {}
        self.urls: list[str] = []
        self.lines: dict[str, Line] = {}
        self.bind_timeout = BIND_TIMEOUT
        self.keys = Keys()
        self.shims = {}
        self.etcd = Etcd(self.cluster.urls, timeout=2.0)
        self.http = httpx.AsyncClient(timeout=BIND_TIMEOUT + 15)
        self._folder = folder
        self._turn = itertools.count()

    async def prepare(self) -> None:
        """Lay the cables, and write the configurations of all programs."""
        ports = free_ports(2)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.url = self.urls[0]
        for number, port in enumerate(ports, 1):
            name = f"server-{number}"
            database = self.database.url(await self._line_to_database(name, self.database.ports(number)))
            endpoints = await self._etcd_line(name)
            config = self._folder / f"{name}.conf"
            config.write_text(
                f"[api]\nport = {port}\nservice_list = {SERVICE}\npublic_url = {self.url}\n"
                f"bind_timeout = {BIND_TIMEOUT}\n"
                f"[etcd]\nendpoints = {endpoints}\ntimeout = 2\n"
                f"[database]\nconnection = {database.replace('$', '$$')}\n"
                "pool_timeout = 3\nstatement_timeout = 3\n"
            )
            self.servers[name] = Program.installed("proton-server", config, name)
        self.server = self.servers["server-1"]
        for name, hosts in SHIMS.items():
            config = self._folder / f"{name}.conf"
            config.write_text(
                f"[shim]\nname = {name}\nhost_list = {','.join(hosts)}\nhandlers = {SERVICE}:dummy\n"
                f"lease_ttl = {LEASE}\n[etcd]\nendpoints = {await self._etcd_line(name)}\ntimeout = 2\n"
            )
            self.shims[name] = Shim.installed("proton-shim-server", config, name)

    def programs(self) -> dict[str, Program]:
        """The product's processes by name."""
        return {**self.servers, **self.shims}

    def parts(self) -> dict[str, Part]:
        """All processes by name."""
        members = {f"etcd-{number}": member for number, member in enumerate(self.cluster.members, 1)}
        return {**self.programs(), **members, **self.database.parts}

    def possible(self) -> dict[Fault, list[str]]:
        """What can happen to which part."""
        parts = list(self.parts())
        programs = list(self.programs())
        return {
            Fault.KILL: parts,
            Fault.PAUSE: parts,
            Fault.RESTART: programs,
            Fault.CUT: list(self.lines),
        }

    async def health(self) -> dict[str, Any]:
        """Of one server after the other."""
        url = self.urls[next(self._turn) % len(self.urls)]
        answer = await self.http.get(f"{url}/healthcheck")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def request(self, method: str, path: str, expect: int, body: Any = None) -> Any:
        if "://" not in path:
            path = f"{self.base_url()}{path}"
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def base_url(self) -> str:
        """Where the service is, on one server after the other."""
        return f"{self.urls[next(self._turn) % len(self.urls)]}/proton/{SERVICE}/v1.0/"

    async def ready(self) -> None:
        """Return when both servers and both shims work."""
        for url in self.urls:
            await eventually(partial(self._answers, url), _START)
        for shim in self.shims.values():
            await self.shim_ready(shim)

    async def _answers(self, url: str) -> None:
        answer = await self.http.get(f"{url}/healthcheck")
        assert answer.status_code == 200, answer.text

    async def _etcd_line(self, name: str) -> str:
        """Cables to all members of etcd; their URLs, for a configuration."""
        cables = [Cable("127.0.0.1", _port_of(url)) for url in self.cluster.urls]
        for cable in cables:
            await cable.lay()
        self.lines[f"{name} to etcd"] = Line(cables)
        return ",".join(f"http://127.0.0.1:{cable.port}" for cable in cables)

    async def _line_to_database(self, name: str, ports: Sequence[int]) -> Sequence[int]:
        """Cables to the ports; theirs."""
        cables = [Cable("127.0.0.1", port) for port in ports]
        for cable in cables:
            await cable.lay()
        self.lines[f"{name} to the database"] = Line(cables)
        return [cable.port for cable in cables]

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.http.aclose()
        await self.etcd.close()
        for program in self.programs().values():
            program.kill()
        for line in self.lines.values():
            for cable in line.cables:
                await cable.remove()
        self.cluster.close()
        self.database.end()


@asynccontextmanager
async def everything(folder: Path, database: str, report: Callable[[str], None]) -> AsyncIterator[ChaosStack]:
    """All parts, running; gone after the block. The database is one of DATABASES."""
    stack = ChaosStack(folder, DATABASES[database](folder))
    try:
        stack.cluster.start()
        await stack.database.start()
        await stack.prepare()
        for program in stack.programs().values():
            program.start()
        await stack.ready()
        report(f"two servers, three members of etcd, {', '.join(stack.database.parts)} and two shims are up")
        yield stack
    finally:
        await stack.close()


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].rstrip("/"))
