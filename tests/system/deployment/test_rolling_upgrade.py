"""Servers of two adjacent releases side by side, on one database and one etcd: upgraded, and taken back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gluon import __version__
from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer
from system.deployment.releases import old_program, unpack_release
from system.deployment.site import Site
from system.faults.eventually import eventually
from system.faults.processes import Program
from system.faults.stack import DEVICE, SERVICE, Shim, port

OLD = "0.2.0"
"""The release before this one, of which tests/releases has the wheel."""


class Clients:
    """Create ports, bind and rename them, at one server after the other; only a connect is tried again."""

    def __init__(self, site: Site) -> None:
        self.expected: dict[str, str] = {}
        """What each port is called by now."""
        self.failed: list[str] = []
        self.stopping = False
        self._urls = [f"{site.url_of(node)}/proton/{SERVICE}/v1.0/ports" for node in site.servers]
        self._numbers = itertools.count(1)
        self._turns = itertools.count()

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=15) as http:
            for number in self._numbers:
                if self.stopping:
                    return
                created = await self._send(http, "POST", "", 201, port(f"port-{number}"))
                where = {"host_id": f"compute-{number % 3}", "device_id": DEVICE}
                bound = await self._send(http, "PUT", f"/{created['id']}", 200, where)
                if bound["vif_type"] != "ovs":
                    self.failed.append(f"not bound: {bound}")
                name = {"name": f"{number} renamed"}
                renamed = await self._send(http, "PUT", f"/{created['id']}", 200, name)
                self.expected[created["id"]] = renamed["name"]

    async def _send(
        self, http: httpx.AsyncClient, method: str, path: str, expect: int, body: object
    ) -> dict[str, Any]:
        while True:
            url = self._urls[next(self._turns) % len(self._urls)]
            try:
                answer = await http.request(method, url + path, json=body)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code != expect:
                self.failed.append(f"{method} {url}{path}: {answer.status_code} {answer.text}")
            return dict(answer.json())

    async def go_on(self, ports: int) -> None:
        goal = len(self.expected) + ports

        async def check() -> None:
            assert len(self.expected) >= goal, f"{len(self.expected)} of {goal}; failed: {self.failed}"

        await eventually(check, 40)


@pytest.fixture
async def site(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> AsyncIterator[Site]:
    """Two servers of the old release, and a shim of this one."""
    with postgresql_server.fresh_database() as url:
        site = Site(tmp_path, etcd_server, etcd_prefix, url, nodes=2)
        config = tmp_path / "shim.conf"
        config.write_text(
            f"[shim]\nname = shim\nhandlers = {SERVICE}:dummy\n"
            f"[etcd]\nendpoints = {etcd_server.url}\nprefix = {etcd_prefix}\n"
        )
        shim = Shim.installed("proton-shim-server", config, "shim")
        started = list(site.servers.values())
        release = unpack_release(OLD, tmp_path)
        try:
            for node in list(site.servers):
                config = site.config_of(node)
                site.servers[node] = old_program(release, "gluon.proton.main", config, f"old-{node}")
                started.append(site.servers[node])
                site.servers[node].start()
            shim.start()
            for node in site.servers:
                await ready(site, node)
            yield site
        finally:
            for program in {id(p): p for p in (*started, *site.servers.values(), shim)}.values():
                program.kill()
                print(f"--- the end of {program.name}'s log:\n{program.log()[-3000:]}")
            await site.etcd.close()


async def ready(site: Site, node: str) -> None:
    async def check() -> None:
        site.servers[node].must_run()
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{site.url_of(node)}/healthcheck/ready")
            assert answer.status_code == 200, answer.text

    await eventually(check, 60)


async def releases(site: Site) -> list[str]:
    """What the servers say of themselves in etcd."""
    listing = await site.etcd.list(site.keys.servers())
    return sorted(msgspec.json.decode(item.value)["version"] for item in listing.items)


async def replace(site: Site, node: str, program: Program) -> None:
    """Stop a node's server as an operator would, and start another one in its place."""
    await asyncio.to_thread(site.servers[node].stop)
    site.servers[node] = program
    program.start()
    await ready(site, node)


async def test_servers_of_two_releases_work_side_by_side(site: Site, tmp_path: Path) -> None:
    new = {
        node: Program.installed("proton-server", site.config_of(node), f"new-{node}") for node in site.servers
    }
    old = dict(site.servers)
    clients = Clients(site)
    tasks = [asyncio.create_task(clients.run()) for _ in range(3)]
    await clients.go_on(10)
    assert await releases(site) == [OLD, OLD]

    await replace(site, "node-1", new["node-1"])
    await clients.go_on(10)
    assert await releases(site) == sorted([OLD, __version__])
    # Whichever relays now: the other one has its turn as well.
    await replace(site, "node-2", new["node-2"])
    await clients.go_on(10)
    assert await releases(site) == [__version__, __version__]
    # Going back by one release is the same in the other direction.
    await replace(site, "node-1", old["node-1"])
    await clients.go_on(10)
    assert await releases(site) == sorted([OLD, __version__])

    clients.stopping = True
    await asyncio.gather(*tasks)
    assert clients.failed == []

    async def etcd_has_it_all() -> None:
        listing = await site.etcd.list(site.keys.objects(SERVICE, "Port"))
        documents = [msgspec.json.decode(item.value) for item in listing.items]
        found = {d["id"]: d["name"] for d in documents}
        assert found == clients.expected

    await eventually(etcd_has_it_all)
