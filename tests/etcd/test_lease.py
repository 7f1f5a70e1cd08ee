from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from etcd.eventually import eventually, running
from gluon.etcd.client import Etcd
from gluon.etcd.lease import LeaseKeeper
from servers.etcd import EtcdServer


@pytest.fixture
async def own_etcd(own_etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    client = Etcd([own_etcd_server.url], timeout=0.5)
    yield client
    await client.close()


async def test_a_kept_lease_outlives_its_ttl(etcd: Etcd, etcd_prefix: str) -> None:
    keeper = LeaseKeeper(etcd, ttl=1)

    async with running(keeper.run()):
        lease = await keeper.granted()
        await etcd.put(etcd_prefix, b"", lease=lease)
        await eventually(lambda: keeper.counters.renewals >= 9)

        assert keeper.alive
        assert keeper.id == lease
        assert await etcd.get(etcd_prefix) is not None


async def test_stopping_removes_the_keys_at_once(etcd: Etcd, etcd_prefix: str) -> None:
    keeper = LeaseKeeper(etcd, ttl=60)
    task = asyncio.ensure_future(keeper.run())
    await etcd.put(etcd_prefix, b"", lease=await keeper.granted())

    keeper.stop()
    async with asyncio.timeout(1):
        await task

    assert await etcd.get(etcd_prefix) is None
    assert not keeper.alive


async def test_cancelling_removes_the_keys_too(etcd: Etcd, etcd_prefix: str) -> None:
    keeper = LeaseKeeper(etcd, ttl=60)
    async with running(keeper.run()):
        await etcd.put(etcd_prefix, b"", lease=await keeper.granted())

    assert await etcd.get(etcd_prefix) is None


async def test_a_revoked_lease_is_replaced_and_its_keys_are_put_again(etcd: Etcd, etcd_prefix: str) -> None:
    async def hold(lease: int) -> None:
        await etcd.put(etcd_prefix, b"held", lease=lease)

    keeper = LeaseKeeper(etcd, 1, hold)
    async with running(keeper.run()):
        first = await keeper.granted()
        await etcd.revoke(first)
        await keeper.lost()
        second = await keeper.granted()
        async with asyncio.timeout(5):
            while (found := await etcd.get(etcd_prefix)) is None:
                await asyncio.sleep(0.01)

        assert second != first
        assert found.lease == second
        assert (keeper.counters.grants, keeper.counters.losses) == (2, 1)


async def test_a_holder_that_fails_is_called_again_while_the_lease_is_kept(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    calls = []

    async def hold(lease: int) -> None:
        calls.append(lease)
        if len(calls) < 3:
            await Etcd(["http://127.0.0.1:1"]).put("/a", b"")

    keeper = LeaseKeeper(own_etcd, 60, hold)
    async with running(keeper.run()):
        await eventually(lambda: len(calls) == 3)

    assert len(set(calls)) == 1


async def test_what_a_holder_raises_by_mistake_ends_the_run(etcd: Etcd) -> None:
    async def hold(lease: int) -> None:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await LeaseKeeper(etcd, 60, hold).run()


async def test_a_lease_that_can_not_be_renewed_in_time_is_lost_before_etcd_drops_it(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    keeper = LeaseKeeper(own_etcd, ttl=2)
    async with running(keeper.run()):
        first = await keeper.granted()
        own_etcd_server.pause()
        async with asyncio.timeout(3):
            await keeper.lost()
        assert not keeper.alive

        own_etcd_server.resume()
        assert await keeper.granted() != first


async def test_a_lease_survives_a_short_absence_of_etcd(own_etcd_server: EtcdServer, own_etcd: Etcd) -> None:
    keeper = LeaseKeeper(own_etcd, ttl=6)
    async with running(keeper.run()):
        lease = await keeper.granted()
        own_etcd_server.kill()
        await eventually(lambda: keeper.counters.failures > 0)
        own_etcd_server.start()
        await eventually(lambda: keeper.counters.renewals > 0)

        assert keeper.id == lease


async def test_a_wiped_etcd_has_no_lease_any_more(own_etcd_server: EtcdServer, own_etcd: Etcd) -> None:
    keeper = LeaseKeeper(own_etcd, ttl=2)
    async with running(keeper.run()):
        first = await keeper.granted()
        own_etcd_server.kill()
        own_etcd_server.wipe()
        own_etcd_server.start()
        await keeper.lost()

        assert await keeper.granted() != first
