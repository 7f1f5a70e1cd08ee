"""Several Proton Servers on one database and one etcd, with shims; each a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from ops.processes import children_of
from servers.etcd import EtcdServer, free_ports
from system.faults.eventually import eventually
from system.faults.processes import Program
from system.faults.stack import SERVICE, Shim, Stack


class Server(Program):
    """A Proton Server, and a client that speaks to it alone."""

    url: str
    http: httpx.AsyncClient

    def workers(self) -> list[int]:
        """The pids of its worker processes."""
        return children_of(self.pid)

    async def health(self) -> dict[str, Any]:
        answer = await self.http.get(f"{self.url}/healthcheck")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def relay(self) -> dict[str, Any]:
        """What its relay says of itself."""
        return dict((await self.health())["checks"]["relay"])

    async def put(self, path: str, **body: Any) -> dict[str, Any]:
        return await self.request("PUT", path, 200, body)

    async def request(self, method: str, path: str, expect: int, body: Any = None) -> dict[str, Any]:
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json()) if answer.content else {}


@dataclass(frozen=True)
class Shared:
    """What all servers of a test share."""

    folder: Path
    etcd: EtcdServer
    prefix: str
    database_url: str


@dataclass
class Wish:
    """A server that a test wants."""

    workers: int = 1
    bind_timeout: float = 8.0
    api: dict[str, Any] = field(default_factory=dict)
    database: dict[str, Any] = field(default_factory=dict)
    etcd_url: str | None = None


class Cluster(Stack):
    """Servers by number, from 1 on. The stack that checks know speaks to the first of them."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.keys = Keys(shared.prefix)
        self.etcd_server = shared.etcd
        self.etcd = Etcd([shared.etcd.url], timeout=2.0)
        self.shims: dict[str, Shim] = {}
        self.servers: list[Server] = []
        self._folder = shared.folder

    def add(self, wish: Wish | None = None) -> Server:
        """One more server, not started yet."""
        wish = wish or Wish()
        number = len(self.servers) + 1
        (port,) = free_ports(1)
        api = {
            "port": port,
            "service_list": SERVICE,
            "bind_timeout": wish.bind_timeout,
            "workers": wish.workers,
            **wish.api,
        }
        config = self._folder / f"server-{number}.conf"
        config.write_text(
            "[api]\n"
            + "".join(f"{name} = {value}\n" for name, value in api.items())
            + f"[database]\nconnection = {self.shared.database_url.replace('$', '$$')}\n"
            + "".join(f"{name} = {value}\n" for name, value in wish.database.items())
            + f"[etcd]\nendpoints = {wish.etcd_url or self.shared.etcd.url}\nprefix = {self.shared.prefix}\n"
        )
        server = Server.installed("proton-server", config, f"server-{number}")
        assert isinstance(server, Server)
        server.url = f"http://127.0.0.1:{port}"
        server.http = httpx.AsyncClient(
            base_url=f"{server.url}/proton/{SERVICE}/v1.0/", timeout=wish.bind_timeout + 10
        )
        self.servers.append(server)
        if number == 1:
            self.server, self.http, self.url = server, server.http, server.url
        return server

    def add_shim(self, name: str, hosts: Any = ("*",)) -> Shim:
        config = self._folder / f"{name}.conf"
        config.write_text(
            f"[shim]\nname = {name}\nhost_list = {','.join(hosts)}\nhandlers = {SERVICE}:dummy\n"
            f"[etcd]\nendpoints = {self.shared.etcd.url}\nprefix = {self.shared.prefix}\n"
        )
        self.shims[name] = shim = Shim.installed("proton-shim-server", config, name)
        return shim

    async def start(self, *servers: Server) -> None:
        """Start servers (all, unless some are named) at once, and return when they answer."""
        started = servers or tuple(self.servers)
        for server in started:
            server.start()
        for server in started:
            await self.ready(server)

    async def ready(self, server: Server) -> None:
        async def check() -> None:
            server.must_run()
            await server.health()

        await eventually(check, 60)

    async def leader(self) -> Server:
        """The server whose relay leads, once there is one."""

        async def check() -> Server:
            for server in self.servers:
                if server.is_running and (await server.relay())["leader"]:
                    return server
            raise AssertionError("nobody leads")

        return await eventually(check)

    async def leads_in(self) -> tuple[str, int]:
        """Who leads by etcd's word (`host:pid`), and since which revision."""

        async def check() -> tuple[str, int]:
            found = await self.etcd.get(self.keys.relay_election())
            assert found is not None, "nobody leads"
            return found.value.decode(), found.create_revision

        return await eventually(check)

    async def present(self) -> list[dict[str, Any]]:
        """What the live servers say of themselves in etcd."""
        listing = await self.etcd.list(self.keys.servers())
        return [msgspec.json.decode(item.value) for item in listing.items]

    async def in_etcd(self, port_id: str) -> dict[str, Any]:
        """A port as etcd has it, once it is there."""

        async def check() -> dict[str, Any]:
            found = await self.etcd.get(self.keys.object(SERVICE, "Port", port_id))
            assert found is not None, f"{port_id} is not in etcd"
            return dict(msgspec.json.decode(found.value))

        return await eventually(check)

    async def says_what_the_database_says(self) -> int:
        """Return when etcd has all objects as the first server's API gives them; how many there are."""

        async def check() -> int:
            assert (await self.servers[0].relay())["depth"] == 0
            expected = {}
            for plural, name in (("ports", "Port"), ("interfaces", "Interface"), ("vpns", "VpnService")):
                for document in await self._all(plural):
                    expected[self.keys.object(SERVICE, name, document["id"])] = document
            found = {}
            for item in (await self.etcd.list(self.keys.objects())).items:
                document = msgspec.json.decode(item.value)
                found[item.key] = {k: v for k, v in document.items() if k not in ("bind_id", "bindings")}
            assert found == expected
            return len(found)

        return await eventually(check)

    async def _all(self, plural: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        path: str | None = plural
        while path is not None:
            page = await self.servers[0].request("GET", path, 200)
            found += page[plural]
            path = next((link["href"] for link in page.get(f"{plural}_links", ())), None)
        return found

    async def close(self) -> None:
        for server in self.servers:
            await server.http.aclose()
        await self.etcd.close()
        for program in [*self.servers, *self.shims.values()]:
            program.kill()
            # Shown with a test that fails.
            print(f"--- the end of {program.name}'s log:\n{program.log()[-4000:]}")


@asynccontextmanager
async def cluster(shared: Shared, *wishes: Wish, shims: tuple[str, ...] = ()) -> AsyncIterator[Cluster]:
    """Servers as wished for, and shims that bind on all hosts; all ready."""
    made = Cluster(shared)
    try:
        for wish in wishes:
            made.add(wish)
        for name in shims:
            made.add_shim(name).start()
        await made.start()
        for shim in made.shims.values():
            await made.shim_ready(shim)
        yield made
    finally:
        await made.close()
        # What waits for a child that is gone must not wait for the next test's.
        await asyncio.sleep(0)
