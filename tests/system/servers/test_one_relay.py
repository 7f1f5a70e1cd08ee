"""Several servers, one relay: elected, fenced, handed over, taken over, and woken by anybody's commit."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from system.faults.eventually import eventually
from system.faults.feed_watcher import watching
from system.faults.stack import port
from system.servers.cluster import Cluster, Server, Shared, Wish, cluster

LEASE = 5.0


def others(site: Cluster, than: Server) -> list[Server]:
    return [server for server in site.servers if server is not than]


async def another_leads(site: Cluster, since: int, within: float) -> float:
    """Seconds until somebody leads who was elected after that revision."""
    began = time.monotonic()

    async def check() -> None:
        found = await site.etcd.get(site.keys.relay_election())
        assert found is not None and found.create_revision > since

    await eventually(check, within)
    return time.monotonic() - began


async def test_a_clean_stop_hands_over_at_once(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish()) as site:
        leader = await site.leader()
        _, since = await site.leads_in()
        taking_over = asyncio.create_task(another_leads(site, since, 30))
        assert await asyncio.to_thread(leader.stop) == 0
        took = await taking_over
        print(f"handed over {took:.2f} s after SIGTERM, the stop of the server included")
        # Most of that is for idle connections, before the relay is told to stop.
        assert took < LEASE / 2


async def test_a_killed_leader_is_replaced_within_its_lease(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish()) as site:
        leader = await site.leader()
        (other,) = others(site, leader)
        _, since = await site.leads_in()
        leader.kill()
        created = await other.request("POST", "ports", 201, port("meanwhile"))
        # etcd counts leases in whole seconds, and looks every half.
        took = await another_leads(site, since, LEASE + 2)
        print(f"taken over {took:.2f} s after SIGKILL")
        await site.in_etcd(created["id"])


@pytest.mark.parametrize("seed", range(2))
async def test_a_leader_that_was_paused_writes_nothing_when_it_goes_on(shared: Shared, seed: int) -> None:
    async with cluster(shared, Wish(), Wish()) as site, watching(shared.etcd.url, site.keys):
        paused = await site.leader()
        (other,) = others(site, paused)
        stop = asyncio.Event()
        names = iter(range(1_000_000))

        async def write() -> None:
            while not stop.is_set():
                created = await other.request("POST", "ports", 201, port(f"p{next(names)}"))
                await other.request("PUT", f"ports/{created['id']}", 200, {"name": f"q{next(names)}"})

        writing = [asyncio.create_task(write()) for _ in range(4)]
        try:
            # It has work in every instant: it is stopped in the middle of some of it.
            await asyncio.sleep(0.5 + seed * 0.0137)
            _, since = await site.leads_in()
            paused.pause()
            await another_leads(site, since, LEASE + 2)
            elected, since = await site.leads_in()
            before = await other.relay()
            paused.resume()
            await asyncio.sleep(1.0)
            stop.set()
            await asyncio.gather(*writing)
        finally:
            paused.resume()
            stop.set()
            await asyncio.gather(*writing, return_exceptions=True)
        report, newer = await paused.relay(), await other.relay()
        assert await site.leads_in() == (elected, since), "the one that was paused has taken the lead again"
        assert not report["leader"]
        assert newer["rows"] > before["rows"], "nobody relayed meanwhile"
        count = await site.says_what_the_database_says()
        print(
            f"{count} objects agree; the paused one wrote {report['rows']} rows before, tried to write "
            f"{report['fenced']} times after, which etcd refused"
        )


async def test_a_commit_on_any_server_wakes_the_relay_at_once(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish(), Wish()) as site:
        leader = await site.leader()
        slowest = 0.0
        for server in others(site, leader) * 3:
            began = time.monotonic()
            created = await server.request("POST", "ports", 201, port("anywhere"))
            await site.in_etcd(created["id"])
            slowest = max(slowest, time.monotonic() - began)
        print(f"from POST to etcd: {slowest * 1000:.0f} ms at most")
        # The relay looks by itself once a second: some would come that late.
        assert slowest < 0.9


async def test_workers_of_several_servers_have_one_relay_among_them(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2), Wish(workers=2)) as site:

        async def all_present() -> None:
            assert len(await site.present()) == 4

        await eventually(all_present)
        for _ in range(3):
            name, since = await site.leads_in()
            pid = int(name.rsplit(":", 1)[1])
            assert any(pid in server.workers() for server in site.servers)
            os.kill(pid, signal.SIGTERM)
            await another_leads(site, since, 30)
        created = await site.servers[1].request("POST", "ports", 201, port("still"))
        await site.in_etcd(created["id"])
