from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from etcd.eventually import eventually, patiently, running
from gluon.etcd.client import Etcd, EtcdError, Op
from gluon.etcd.election import Election
from servers.etcd import EtcdServer


@pytest.fixture
async def own_etcd(own_etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    client = Etcd([own_etcd_server.url], timeout=0.5)
    yield client
    await client.close()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_one_of_several_candidates_leads(etcd: Etcd, etcd_prefix: str) -> None:
    candidates = [Election(etcd, etcd_prefix, str(n).encode(), 60) for n in range(3)]
    async with (
        running(candidates[0].run(forever)),
        running(candidates[1].run(forever)),
        running(candidates[2].run(forever)),
    ):
        await eventually(lambda: any(candidate.leading for candidate in candidates))
        [leader] = [n for n, candidate in enumerate(candidates) if candidate.leading]

        assert (await etcd.get(etcd_prefix)).value == str(leader).encode()  # type: ignore[union-attr]


async def test_a_clean_stop_hands_over_at_once_after_the_leader_has_ended(
    etcd: Etcd, etcd_prefix: str
) -> None:
    order: list[str] = []

    async def lead_first() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.05)
            order.append("first ended")

    async def lead_second() -> None:
        order.append("second began")
        await forever()

    first, second = Election(etcd, etcd_prefix, b"1", 60), Election(etcd, etcd_prefix, b"2", 60)
    leading = asyncio.ensure_future(first.run(lead_first))
    await eventually(lambda: first.leading)
    async with running(second.run(lead_second)):
        first.stop()
        async with asyncio.timeout(2):
            await leading
            await eventually(lambda: second.leading)

    assert order == ["first ended", "second began"]


async def test_the_guard_holds_for_the_term_and_for_no_longer(etcd: Etcd, etcd_prefix: str) -> None:
    first = Election(etcd, f"{etcd_prefix}/leader", b"1", 60)
    async with running(first.run(forever)):
        await eventually(lambda: first.leading)
        guard = first.guard
        assert (await etcd.transact([guard], [Op.put(f"{etcd_prefix}/a", b"1")])).succeeded
    second = Election(etcd, f"{etcd_prefix}/leader", b"2", 60)
    async with running(second.run(forever)):
        await eventually(lambda: second.leading)

        assert not (await etcd.transact([guard], [Op.put(f"{etcd_prefix}/a", b"2")])).succeeded


async def test_who_does_not_lead_has_no_guard(etcd: Etcd, etcd_prefix: str) -> None:
    with pytest.raises(RuntimeError, match="not elected"):
        _ = Election(etcd, etcd_prefix, b"1", 60).guard


async def test_a_leader_that_vanishes_is_replaced_when_its_lease_ends(etcd: Etcd, etcd_prefix: str) -> None:
    # As a killed process leaves it: a key, and a lease that nobody keeps.
    await etcd.put(etcd_prefix, b"dead", lease=await etcd.grant(1))
    election = Election(etcd, etcd_prefix, b"1", 60)

    async with running(election.run(forever)):
        await eventually(lambda: election.leading)


async def test_a_leader_that_returns_or_fails_gives_up_the_key_and_stands_again(
    etcd: Etcd, etcd_prefix: str
) -> None:
    ways = iter([None, EtcdError("not now")])

    async def lead() -> None:
        way = next(ways, asyncio.CancelledError)
        if isinstance(way, Exception):
            raise way
        if way is not None:
            await forever()

    election = Election(etcd, etcd_prefix, b"1", 60)
    async with running(election.run(lead)):
        await eventually(lambda: election.counters.terms == 3)

    assert election.counters.last_error == "not now"


async def test_what_a_leader_raises_by_mistake_ends_the_run_and_frees_the_key(
    etcd: Etcd, etcd_prefix: str
) -> None:
    async def lead() -> None:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await Election(etcd, etcd_prefix, b"1", 60).run(lead)

    assert await etcd.get(etcd_prefix) is None


async def test_a_leader_that_loses_its_lease_is_cancelled_and_elected_anew(
    etcd: Etcd, etcd_prefix: str
) -> None:
    ended = 0

    async def lead() -> None:
        nonlocal ended
        try:
            await forever()
        finally:
            ended += 1

    election = Election(etcd, etcd_prefix, b"1", 1)
    async with running(election.run(lead)):
        await eventually(lambda: election.leading)
        await etcd.revoke((await etcd.get(etcd_prefix)).lease)  # type: ignore[union-attr]
        await eventually(lambda: election.counters.terms == 2)

        assert ended == 1


async def test_a_paused_etcd_deposes_the_leader_when_its_lease_is_over(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    election = Election(own_etcd, "/leader", b"1", 1)
    async with running(election.run(forever)):
        await eventually(lambda: election.leading)
        assert election.trouble is None
        own_etcd_server.pause()
        await eventually(lambda: not election.leading)
        assert election.trouble is not None, "who can't stand for election must say so"
        own_etcd_server.resume()
        await eventually(lambda: election.leading)
        assert election.trouble is None


@pytest.mark.parametrize("wiped", [True, False])
async def test_candidates_agree_on_one_leader_after_etcd_was_killed(
    own_etcd_server: EtcdServer, own_etcd: Etcd, wiped: bool
) -> None:
    other_client = Etcd([own_etcd_server.url], timeout=0.5)
    one, other = Election(own_etcd, "/leader", b"1", 2), Election(other_client, "/leader", b"2", 2)
    async with running(one.run(forever)), running(other.run(forever)):
        await eventually(lambda: one.leading or other.leading)
        own_etcd_server.kill()
        if wiped:
            own_etcd_server.wipe()
            await eventually(lambda: not (one.leading or other.leading))
        own_etcd_server.start()
        await own_etcd_server.ready()
        await eventually(lambda: one.leading or other.leading)

        leader = one if one.leading else other
        outcome = await patiently(lambda: other_client.transact([leader.guard], [Op.put("/a", b"")]))
        assert outcome.succeeded
        assert one.leading != other.leading
    await other_client.close()


async def test_a_leader_does_not_wait_for_its_own_old_lease_when_etcd_comes_back(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    election = Election(own_etcd, "/leader", b"1", 6)
    async with running(election.run(forever)):
        await eventually(lambda: election.leading)
        own_etcd_server.kill()
        await eventually(lambda: not election.leading)
        own_etcd_server.start()
        await own_etcd_server.ready()
        # An etcd that was restarted counts every lease from the start again: 6 seconds more.
        async with asyncio.timeout(4):
            await eventually(lambda: election.leading)
