"""Several servers, one relay: elected, fenced, handed over, taken over, and woken by anybody's commit."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


async def leading_process(site: Cluster) -> tuple[int, int]:
    """The process that leads, and the revision in which it was elected."""
    name, since = await site.leads_in()
    return int(name.rsplit(":", 1)[1]), since


async def test_one_process_of_all_relays_and_another_one_follows_it(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2), Wish()) as site:

        async def all_present() -> None:
            assert len(await site.present()) == 3

        await eventually(all_present)
        processes = {*site.servers[0].workers(), site.servers[1].pid}
        leader, since = await leading_process(site)
        assert leader in processes
        os.kill(leader, signal.SIGTERM)
        took = await another_leads(site, since, 30)
        print(f"handed over {took:.2f} s after SIGTERM")
        # Idle connections are given half a second before the relay is told to stop.
        assert took < LEASE / 2
        leader, since = await leading_process(site)
        os.kill(leader, signal.SIGKILL)
        # etcd counts leases in whole seconds, and looks every half.
        took = await another_leads(site, since, LEASE + 2)
        print(f"taken over {took:.2f} s after SIGKILL")


async def test_a_commit_on_any_server_wakes_the_relay_at_once(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish()) as site:
        leader = await site.leader()
        (other,) = others(site, leader)
        seconds = []
        for _ in range(7):
            began = time.monotonic()
            created = await other.request("POST", "ports", 201, port("anywhere"))
            await site.in_etcd(created["id"])
            seconds.append(time.monotonic() - began)
        print(f"from POST to etcd: {max(seconds) * 1000:.0f} ms at most")
        # The relay looks by itself once a second; by that alone half of them would take longer.
        assert sorted(seconds)[3] < 0.5


@asynccontextmanager
async def always_something_to_relay(server: Server) -> AsyncIterator[None]:
    """Clients that write all through the block, by one server: whoever leads then always has work."""
    stop = asyncio.Event()
    numbers = itertools.count()

    async def write() -> None:
        while not stop.is_set():
            created = await server.request("POST", "ports", 201, port(f"p{next(numbers)}"))
            await server.request("PUT", f"ports/{created['id']}", 200, {"name": f"q{next(numbers)}"})

    writing = [asyncio.create_task(write()) for _ in range(4)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*writing)


async def test_a_leader_that_was_paused_beyond_its_lease_leads_no_more(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish()) as site, watching(shared.etcd.url, site.keys):
        paused = await site.leader()
        (other,) = others(site, paused)
        async with always_something_to_relay(other):
            _, since = await site.leads_in()
            paused.pause()
            await another_leads(site, since, LEASE + 2)
            elected = await site.leads_in()
            before = await other.relay()
            paused.resume()
            await asyncio.sleep(1.0)
        assert not (await paused.relay())["leader"]
        assert (await other.relay())["rows"] > before["rows"], "nobody relayed meanwhile"
        assert await site.leads_in() == elected, "the one that was paused has taken the lead again"
        await site.says_what_the_database_says()


async def test_a_leader_that_does_not_know_yet_writes_nothing(shared: Shared) -> None:
    """Its lease is gone in etcd, and lives on by its own clock: it goes on to write, and is refused."""
    async with cluster(shared, Wish(), Wish(), Wish()) as site, watching(shared.etcd.url, site.keys):
        writer = site.servers[0]
        tried = refused = 0
        async with always_something_to_relay(writer):
            # Not each time: it may hear of its lease just before it writes.
            for _ in range(20):
                leader = await site.leader()
                elected = await site.etcd.get(site.keys.relay_election())
                assert elected is not None
                before = await leader.relay()
                if leader is not writer:
                    leader.pause()
                await site.etcd.revoke(elected.lease)
                await another_leads(site, elected.create_revision, 10)
                if leader is writer:
                    continue
                leader.resume()
                await asyncio.sleep(0.5)
                after = await leader.relay()
                taken = after["batches"] - before["batches"]
                tried += after["sent"] - before["sent"] - taken
                refused += after["fenced"] - before["fenced"]
                if refused:
                    break
        print(f"{tried} writes tried; {refused} transactions refused, looks at who leads among them")
        assert refused
        print(f"{await site.says_what_the_database_says()} objects agree")
