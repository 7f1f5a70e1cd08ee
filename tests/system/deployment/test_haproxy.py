"""Several servers behind HAProxy with the guide's configuration, and what clients notice when one stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer
from system.deployment.site import Site, haproxy
from system.faults.eventually import eventually
from system.faults.stack import SERVICE, port

CLIENTS = 4
DRAIN_DELAY = 3
"""Seconds, as in the guide."""


@pytest.fixture
async def site(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> AsyncIterator[Site]:
    """Two servers that work, and HAProxy that knows it."""
    with postgresql_server.fresh_database() as url:
        site = Site(tmp_path, etcd_server, etcd_prefix, url, nodes=2, drain_delay=DRAIN_DELAY)
        try:
            for server in site.servers.values():
                server.start()
            with haproxy(site):
                for node in site.servers:
                    await ready(site.url_of(node))
                await ready(site.url)
                yield site
        finally:
            site.kill()
            await site.etcd.close()


async def ready(url: str) -> None:
    async def check() -> None:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{url}/healthcheck/ready")
            assert answer.status_code == 200, answer.text

    await eventually(check)


class Writers:
    """Clients that create ports one after another, and count how each request ended."""

    def __init__(self, url: str) -> None:
        self.created: list[str] = []
        self.failed: list[str] = []
        self.stopping = False
        self._url = f"{url}/proton/{SERVICE}/v1.0/ports"

    async def run(self, name: str) -> None:
        number = 0
        async with httpx.AsyncClient(timeout=15) as http:
            while not self.stopping:
                number += 1
                try:
                    answer = await http.post(self._url, json=port(f"{name}-{number}"))
                except httpx.TransportError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code == 201:
                    self.created.append(answer.json()["id"])
                else:
                    self.failed.append(f"{answer.status_code} {answer.text}")

    async def go_on(self, writes: int) -> None:
        goal = len(self.created) + writes

        async def check() -> None:
            assert len(self.created) >= goal, f"{len(self.created)} of {goal}; failed: {self.failed}"

        await eventually(check)


async def listed(site: Site) -> set[str]:
    ids: set[str] = set()
    async with httpx.AsyncClient() as http:
        page: str | None = f"{site.url}/proton/{SERVICE}/v1.0/ports"
        while page is not None:
            found = (await http.get(page)).json()
            ids |= {p["id"] for p in found["ports"]}
            links = found.get("ports_links", [])
            page = next((link["href"] for link in links if link["rel"] == "next"), None)
    return ids


async def test_no_request_fails_while_one_server_after_the_other_is_restarted(site: Site) -> None:
    writers = Writers(site.url)
    tasks = [asyncio.create_task(writers.run(f"client-{n}")) for n in range(CLIENTS)]
    await writers.go_on(20)
    for node, server in site.servers.items():
        await asyncio.to_thread(server.stop)
        await writers.go_on(20)
        server.start()
        await ready(site.url_of(node))
        await writers.go_on(20)
    writers.stopping = True
    await asyncio.gather(*tasks)
    assert writers.failed == []
    assert await listed(site) == set(writers.created)
    # It had them out before they closed their addresses, and was refused by none of them.
    log = (site.folder / "haproxy.log").read_text(errors="replace")
    for node in site.servers:
        assert f"/{node} is DOWN, reason: Layer7 wrong status, code: 503" in log, log


async def test_a_server_that_is_killed_costs_no_more_than_what_was_under_way(site: Site) -> None:
    writers = Writers(site.url)
    tasks = [asyncio.create_task(writers.run(f"client-{n}")) for n in range(CLIENTS)]
    await writers.go_on(20)
    site.servers["node-1"].kill()
    await writers.go_on(60)
    writers.stopping = True
    await asyncio.gather(*tasks)
    # Each client had at most one request under way on that server.
    assert len(writers.failed) <= CLIENTS, writers.failed
    assert set(writers.created) <= await listed(site)
