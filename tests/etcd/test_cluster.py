"""A client of several members: calls, watches and leases go on when the one that they use is hurt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from etcd.eventually import eventually
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError, EtcdUnavailable
from gluon.etcd.lease import LeaseKeeper
from gluon.etcd.mirror import Mirror
from servers.etcd_cluster import EtcdCluster, Member
from servers.namespaces import Namespaces


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


@pytest.fixture
async def client(cluster: EtcdCluster) -> AsyncIterator[Etcd]:
    client = cluster.settings().connect()
    await cluster.settled()
    yield client
    await client.close()


class User:
    """What uses etcd all the time: a mirror, a lease, and puts."""

    def __init__(self, client: Etcd, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self.mirror = Mirror(client, f"{prefix}/", lambda changes: None)
        self.lease = LeaseKeeper(client, 6)
        self._number = 0

    async def __aenter__(self) -> User:
        self._tasks = [asyncio.create_task(self.mirror.run()), asyncio.create_task(self.lease.run())]
        await self.mirror.synced.wait()
        await self.lease.granted()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.mirror.stop()
        self.lease.stop()
        await asyncio.gather(*self._tasks)

    async def works(self) -> float:
        """Put until that is done, and seen by the mirror; the seconds that it took."""
        began = time.monotonic()
        self._number += 1
        key, value = f"{self.prefix}/a", b"%d" % self._number
        while True:
            try:
                await self.client.put(key, value)
                break
            except EtcdError:
                await asyncio.sleep(0.1)
        await eventually(lambda: self.mirror.get(key) == value)
        return time.monotonic() - began


def used(cluster: EtcdCluster, client: Etcd) -> Member:
    return cluster.at(client.endpoint)


async def test_all_goes_on_when_the_member_in_use_is_killed(
    cluster: EtcdCluster, client: Etcd, etcd_prefix: str
) -> None:
    async with User(client, etcd_prefix) as user:
        await user.works()
        victim = used(cluster, client)
        victim.kill()
        took = await user.works()
        lease = user.lease.id
        print(f"killed member left after {took:.1f} s")
        assert took < 10
        assert used(cluster, client) is not victim
        assert user.mirror.counters.lists == 1
        assert (user.lease.alive, user.lease.counters.grants) == (True, 1)
        victim.start()
        await victim.ready()
        assert user.lease.id == lease


async def test_all_goes_on_when_the_leader_is_partitioned_with_us(
    cluster: EtcdCluster, etcd_prefix: str
) -> None:
    victim = await cluster.settled()
    urls = (victim.url, *(url for url in cluster.urls if url != victim.url))
    client = cluster.settings(endpoints=urls).connect()
    async with User(client, etcd_prefix) as user:
        await user.works()
        assert used(cluster, client) is victim
        cluster.partition(victim)
        try:
            took = await user.works()
            print(f"partitioned leader left after {took:.1f} s")
            assert took < 15
            assert used(cluster, client) is not victim
            assert user.lease.alive
        finally:
            cluster.heal(victim)
    await client.close()


async def test_a_watch_of_a_partitioned_member_ends_without_anything_being_asked(
    cluster: EtcdCluster, etcd_prefix: str
) -> None:
    leader = await cluster.settled()
    victim = next(member for member in cluster.members if member is not leader)
    client = cluster.settings(endpoints=(victim.url,)).connect()
    other = cluster.settings(endpoints=(leader.url,)).connect()
    try:
        async with client.watch(f"{etcd_prefix}/", 0) as watch:
            cluster.partition(victim)
            await other.put(f"{etcd_prefix}/a", b"unseen")
            with pytest.raises(EtcdUnavailable):
                async for _ in watch:
                    pass
        with pytest.raises(EtcdUnavailable):
            await client.get(f"{etcd_prefix}/a")
    finally:
        cluster.heal(victim)
        await client.close()
        await other.close()


async def test_a_member_that_is_cut_off_from_us_is_left(
    cluster: EtcdCluster, client: Etcd, etcd_prefix: str
) -> None:
    async with User(client, etcd_prefix) as user:
        await user.works()
        victim = used(cluster, client)
        cluster.cut_off(victim)
        try:
            took = await user.works()
            print(f"member that was cut off left after {took:.1f} s")
            assert took < 15
            assert used(cluster, client) is not victim
            assert user.lease.alive
        finally:
            cluster.heal(victim)


async def test_a_member_that_lags_is_not_taken_for_one_that_was_wiped(
    cluster: EtcdCluster, etcd_prefix: str
) -> None:
    leader = await cluster.settled()
    lagging = next(member for member in cluster.members if member is not leader)
    writer = cluster.settings(endpoints=(leader.url,)).connect()
    client = cluster.settings(endpoints=(lagging.url,)).connect()
    try:
        cluster.partition(lagging)
        for number in range(50):
            revision = await writer.put(f"{etcd_prefix}/a", b"%d" % number)
        cluster.heal(lagging)
        while True:
            try:
                async with client.watch(f"{etcd_prefix}/", revision + 1) as watch:
                    await writer.put(f"{etcd_prefix}/a", b"next")
                    batch = await anext(watch)
                    while not batch.events:
                        batch = await anext(watch)
                    break
            except EtcdUnavailable:
                await asyncio.sleep(0.02)
        assert [event.value for event in batch.events] == [b"next"]
        assert client.history.losses == 0
    finally:
        cluster.heal(lagging)
        await writer.close()
        await client.close()
