"""Members of an etcd cluster are killed, partitioned, wiped while clients write: all sides agree afterwards.

Server and shim are connected to the member that is hurt.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gluon.etcd.client import Etcd
from servers.etcd_cluster import EtcdCluster, Member
from servers.namespaces import Namespaces
from system.etcd_cluster.recovery import keys_elsewhere, works_again
from system.faults.agreement import agreed
from system.faults.clients import clients_at_work
from system.faults.stack import Stack, running

CLIENTS = 4
SEED = int(os.environ.get("GLUON_SEED") or random.randrange(1_000_000))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    network = Namespaces(3)
    try:
        cluster = EtcdCluster(tmp_path_factory.mktemp("cluster"), network=network)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()
    finally:
        network.close()


@asynccontextmanager
async def stack_at(cluster: EtcdCluster, member: Member, folder: Path, prefix: str) -> AsyncIterator[Stack]:
    """A stack of which all is connected to that member."""
    print(f"to repeat this: GLUON_SEED={SEED}")
    urls = (member.url, *(url for url in cluster.urls if url != member.url))
    settings = cluster.settings(endpoints=urls, prefix=prefix)
    async with running(folder, bind_timeout=1.0, lease_ttl=5, etcd=settings) as stack:
        yield stack


async def a_follower(cluster: EtcdCluster) -> Member:
    leader = await cluster.settled()
    return next(member for member in cluster.members if member is not leader)


async def test_the_leader_is_killed_and_comes_back_without_its_data(
    cluster: EtcdCluster, tmp_path: Path, etcd_prefix: str
) -> None:
    victim = await cluster.settled()
    async with stack_at(cluster, victim, tmp_path, etcd_prefix) as stack:
        async with clients_at_work(stack, CLIENTS, SEED) as load:
            await load.goes_on(30)
            victim.kill()
            assert await works_again(stack, "leader killed", 20) < 20
            await load.goes_on(30)
            victim.wipe()
            await asyncio.to_thread(cluster.add_anew, victim)
            victim.start()
            await victim.ready()
            assert await works_again(stack, "wiped member added anew", 20) < 20
            await load.goes_on(30)
        load.ledger.compare(await agreed(stack))
        direct = Etcd([victim.url])
        on_all = (await stack.etcd.list(f"{etcd_prefix}/")).items
        assert (await direct.list(f"{etcd_prefix}/")).items == on_all
        assert [key for key in await keys_elsewhere(direct, etcd_prefix) if "/test-" not in key] == []
        await direct.close()


@pytest.mark.parametrize("which", ["follower", "leader"])
async def test_the_member_in_use_is_partitioned(
    cluster: EtcdCluster, tmp_path: Path, etcd_prefix: str, which: str
) -> None:
    victim = await cluster.settled() if which == "leader" else await a_follower(cluster)
    async with stack_at(cluster, victim, tmp_path, etcd_prefix) as stack:
        async with clients_at_work(stack, CLIENTS, SEED) as load:
            await load.goes_on(30)
            cluster.partition(victim)
            try:
                assert await works_again(stack, f"{which} partitioned", 30) < 30
                await load.goes_on(30)
            finally:
                cluster.heal(victim)
            await load.goes_on(20)
        load.ledger.compare(await agreed(stack))


async def test_what_a_watch_has_missed_is_compacted_away(
    cluster: EtcdCluster, tmp_path: Path, etcd_prefix: str
) -> None:
    victim = await a_follower(cluster)
    async with stack_at(cluster, victim, tmp_path, etcd_prefix) as stack:
        kept, deleted = await stack.create_port("kept"), await stack.create_port("deleted")
        await stack.bind(kept["id"], "compute-1")
        await agreed(stack)
        stack.shim.pause()
        # Its watch ends with the member, where it can't notice: to be resumed at what is compacted by then.
        victim.kill()
        await stack.request("DELETE", f"ports/{deleted['id']}", 204)
        await stack.create_ports(20)
        await works_for_the_relay(stack)
        await stack.etcd.compact((await stack.etcd.list(f"{etcd_prefix}/")).revision)
        stack.shim.resume()
        assert await works_again(stack, "compacted meanwhile", 20) < 20
        ports = (await agreed(stack))["ports"]
        assert len(ports) == 21
        assert stack.shim.calls("delete_port", deleted["id"]) == ["delete_port"]
        victim.start()
        await victim.ready()


async def works_for_the_relay(stack: Stack) -> None:
    """Return when etcd has all that was written."""
    while (await stack.health())["checks"]["relay"]["depth"]:
        await asyncio.sleep(0.02)
