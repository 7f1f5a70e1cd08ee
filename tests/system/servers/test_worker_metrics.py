"""`/metrics` of a server with several workers: whichever of them answers, it shows all."""

from __future__ import annotations

import os
import signal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from system.faults.eventually import eventually
from system.faults.stack import port
from system.servers.cluster import Server, Shared, Wish, cluster


async def value(server: Server, name: str, **labels: str) -> float:
    """The sum of the samples with these labels, as some worker shows it on a connection of its own."""
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.get(f"{server.url}/metrics")
    assert answer.status_code == 200, answer.text
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]
    return sum(s.value for s in samples if s.name == name and s.labels | labels == s.labels)


async def created(server: Server) -> float:
    return await value(server, "gluon_http_request_seconds_count", method="POST", status="2xx")


async def test_any_worker_shows_what_all_have_counted_and_a_death_loses_nothing(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2)) as site:
        (server,) = site.servers
        for number in range(10):
            async with httpx.AsyncClient(timeout=30) as http:
                path = f"{server.url}/proton/net-l3vpn/v1.0/ports"
                answer = await http.post(path, json=port(f"p{number}"))
                assert answer.status_code == 201, answer.text

        for _ in range(5):
            assert await created(server) == 10
            assert await value(server, "gluon_commit_seconds_count", result="committed") == 10
        # Each worker looks at its own parts now and then, and shows what the others saw last.
        await eventually(lambda: _is(server, "gluon_relay_leader", 1))
        assert await value(server, "gluon_database_up") == 1
        memory = await value(server, "process_resident_memory_bytes")

        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> None:
            assert victim not in server.workers()
            assert len(server.workers()) == 2
            await server.health()

        await eventually(replaced)
        assert await created(server) == 10
        assert await value(server, "process_resident_memory_bytes") < memory * 1.5


async def _is(server: Server, name: str, expected: float) -> None:
    assert await value(server, name) == expected
