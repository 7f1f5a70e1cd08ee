"""Everything at once: two servers, three members of etcd, PostgreSQL, two shims, cables that can be cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from servers.etcd import free_ports
from servers.etcd_cluster import EtcdCluster
from servers.postgresql import PostgresqlServer
from system.chaos.cable import Cable
from system.chaos.plan import Fault
from system.faults.processes import Program
from system.faults.stack import SERVICE, Shim, Stack

BIND_TIMEOUT = 1.0
LEASE = 2
SHIMS = {"shim-1": ("compute-1", "compute-2"), "shim-2": ("compute-2", "compute-3")}
"""Both answer for compute-2: binds there are contended for."""


class Part(Protocol):
    """A process that can be hurt."""

    def start(self) -> None: ...
    def stop(self) -> object: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


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

    def __init__(self, folder: Path) -> None:
        self.cluster = EtcdCluster(folder / "etcd")
        # A commit has to be on the disk, not only said: its process is going to be killed.
        self.database = PostgresqlServer(folder / "postgresql", durable=True)
        self.servers: dict[str, Program] = {}
        self.urls: list[str] = []
        self.lines: dict[str, Line] = {}
        self.bind_timeout = BIND_TIMEOUT
        self.keys = Keys()
        self.shims = {}
        self.etcd = Etcd(self.cluster.urls, timeout=2.0)
        self._folder = folder
        self._turn = itertools.count()

    async def prepare(self, database_url: str) -> None:
        """Lay the cables, and write the configurations of all programs."""
        ports = free_ports(2)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.url = self.urls[0]
        self.http = httpx.AsyncClient(timeout=BIND_TIMEOUT + 15)
        for number, port in enumerate(ports, 1):
            name = f"server-{number}"
            through = await self._cable(f"{name} to the database", ("127.0.0.1", self.database.port))
            endpoints = await self._etcd_line(name)
            config = self._folder / f"{name}.conf"
            config.write_text(
                f"[api]\nport = {port}\nservice_list = {SERVICE}\npublic_url = {self.url}\n"
                f"bind_timeout = {BIND_TIMEOUT}\n"
                f"[etcd]\nendpoints = {endpoints}\ntimeout = 2\n"
                f"[database]\n"
                f"connection = {_escaped(database_url.replace(f':{self.database.port}/', f':{through}/'))}\n"
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

    def parts(self) -> dict[str, Part]:
        """The processes by name."""
        members = {f"etcd-{number}": member for number, member in enumerate(self.cluster.members, 1)}
        return {**self.servers, **self.shims, **members, "postgresql": self.database}

    def possible(self) -> dict[Fault, list[str]]:
        """What can happen to which part."""
        parts = list(self.parts())
        programs = [*self.servers, *self.shims]
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
        for _ in self.urls:
            await self.server_ready()
        for shim in self.shims.values():
            await self.shim_ready(shim)

    async def _etcd_line(self, name: str) -> str:
        """Cables to all members of etcd; their URLs, for a configuration."""
        cables = [Cable("127.0.0.1", _port_of(url)) for url in self.cluster.urls]
        for cable in cables:
            await cable.lay()
        self.lines[f"{name} to etcd"] = Line(cables)
        return ",".join(f"http://127.0.0.1:{cable.port}" for cable in cables)

    async def _cable(self, name: str, target: tuple[str, int]) -> int:
        cable = Cable(*target)
        await cable.lay()
        self.lines[name] = Line([cable])
        return cable.port

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.http.aclose()
        await self.etcd.close()
        for program in [*self.servers.values(), *self.shims.values()]:
            program.kill()
        for line in self.lines.values():
            for cable in line.cables:
                await cable.remove()
        self.cluster.close()
        self.database.kill()


@asynccontextmanager
async def everything(folder: Path, report: Callable[[str], None]) -> AsyncIterator[ChaosStack]:
    """All parts, running; gone after the block."""
    stack = ChaosStack(folder)
    try:
        stack.cluster.start()
        stack.database.start()
        await asyncio.to_thread(stack.database.wait_ready)
        stack.database.query("CREATE DATABASE gluon")
        await stack.prepare(stack.database.url("gluon"))
        for program in [*stack.servers.values(), *stack.shims.values()]:
            program.start()
        await stack.ready()
        report("two servers, three members of etcd, PostgreSQL and two shims are up")
        yield stack
    finally:
        await stack.close()


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].rstrip("/"))


def _escaped(value: str) -> str:
    return value.replace("$", "$$")
