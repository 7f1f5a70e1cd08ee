"""What those hear who have asked a server that is told to stop before it can answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from system.chaos.cable import Cable
from system.faults.eventually import eventually
from system.faults.stack import DEVICE, TENANT, port
from system.servers.cluster import Server, Shared, Wish, cluster

GRACE = 3.0
"""Seconds: a bind timeout of 1 s, and 2 s."""

BIND = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}
SLOW = {"pool_timeout": 60, "statement_timeout": 60}


async def ended(server: Server) -> int:
    return await asyncio.to_thread(server.stop)


async def test_requests_that_hang_are_told_so_and_a_watch_ends_at_once(shared: Shared) -> None:
    parts = urlsplit(shared.database_url)
    cable = Cable("127.0.0.1", parts.port or 0)
    await cable.lay()
    url = shared.database_url.replace(f":{parts.port}/", f":{cable.port}/")
    async with cluster(replace(shared, database_url=url), Wish(bind_timeout=1.0, database=SLOW)) as site:
        (server,) = site.servers
        try:
            created = await server.request("POST", "ports", 201, port("one"))
            path = f"ports/{created['id']}"
            watching = asyncio.create_task(watch(server))
            binding = asyncio.create_task(server.http.put(path, json=BIND))

            async def check() -> None:
                assert (await server.request("GET", path, 200))["host_id"] == "compute-1"

            await eventually(check)
            cable.cut()
            writes = [
                binding,
                asyncio.create_task(server.http.post("vpns", json={"tenant_id": TENANT})),
                asyncio.create_task(server.http.put(path, json={"name": "another"})),
                asyncio.create_task(server.http.delete(path)),
            ]
            reads = [asyncio.create_task(server.http.get(p)) for p in ("vpns", path, f"{path}/bindings")]
            await asyncio.wait([*writes, *reads], timeout=1.5)
            began = time.monotonic()
            ending = asyncio.create_task(ended(server))
            assert (await watching).startswith(b"retry: ")
            assert time.monotonic() - began < GRACE - 1.0
            answers = await asyncio.gather(*writes, *reads)
            assert time.monotonic() - began < GRACE + 5.0
        finally:
            cable.mend()
        assert await ending == 0
        await cable.remove()
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["request_id"] == answer.headers["X-Openstack-Request-Id"]
        assert answer.json()["detail"].startswith("the server is stopping")
    for answer in answers[: len(writes)]:
        assert "whether the change was made can't be learnt" in answer.json()["detail"]
    for answer in answers[len(writes) :]:
        assert "change" not in answer.json()["detail"]
    assert "Traceback" not in server.log()


async def watch(server: Server) -> bytes:
    """All that a watch says until the server ends it, which it does properly."""
    async with server.http.stream("GET", "ports?watch") as answer:
        assert answer.status_code == 200
        return await answer.aread()


async def test_workers_that_drain_are_not_ready_and_serve_on(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2, api={"drain_delay": 3})) as site:
        (server,) = site.servers
        ready = f"{server.url}/healthcheck/ready"
        # Each request on a connection of its own: whichever worker takes it.
        async with httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)) as http:
            assert (await http.get(ready)).status_code == 200
            began = time.monotonic()
            ending = asyncio.create_task(ended(server))

            async def check() -> None:
                answer = await http.get(ready)
                assert answer.status_code == 503
                assert answer.json() == {"ready": False, "reasons": ["the server is stopping"]}

            await eventually(check, 2.0)
            for _ in range(5):
                await check()
                answer = await http.post(f"{server.http.base_url}vpns", json={"tenant_id": TENANT})
                assert answer.status_code == 201
            assert await ending == 0
            assert time.monotonic() - began >= 3.0
            with pytest.raises(httpx.ConnectError):
                await http.get(ready)


async def test_who_asks_a_second_time_does_not_wait_for_the_drain(shared: Shared) -> None:
    async with cluster(shared, Wish(api={"drain_delay": 60})) as site:
        (server,) = site.servers
        os.kill(server.pid, signal.SIGTERM)

        async def check() -> None:
            assert (await server.http.get(f"{server.url}/healthcheck/ready")).status_code == 503

        await eventually(check)
        assert await ended(server) == 0
