from __future__ import annotations

import asyncio

import pytest

from gluon.etcd.client import Etcd, EtcdUnavailable, Event, HistoryLost, Op, Watch, WatchCompacted
from servers.etcd import EtcdServer


async def test_a_watch_tells_what_happened_since_its_revision_in_order(etcd: Etcd, etcd_prefix: str) -> None:
    await etcd.put(f"{etcd_prefix}/a", b"before")
    start = (await etcd.list(etcd_prefix)).revision + 1
    first = await etcd.put(f"{etcd_prefix}/a", b"1")
    await etcd.put(f"{etcd_prefix}-beside/a", b"")

    async with etcd.watch(f"{etcd_prefix}/", start) as watch:
        assert await next_events(watch, 1) == [Event(f"{etcd_prefix}/a", b"1", first)]
        await etcd.delete(f"{etcd_prefix}/a")
        assert await next_events(watch, 1) == [Event(f"{etcd_prefix}/a", None, first + 2)]


async def test_the_keys_of_one_transaction_come_in_one_batch(etcd: Etcd, etcd_prefix: str) -> None:
    watch = etcd.watch(f"{etcd_prefix}/", 0)
    await watch.open()
    done = await etcd.transact([], [Op.put(f"{etcd_prefix}/{n}", b"x") for n in range(100)])

    batch = await anext(watch)

    assert [event.mod_revision for event in batch.events] == [done.revision] * 100
    assert batch.revision == done.revision
    watch.close()


async def test_an_exact_watch_is_of_one_key(etcd: Etcd, etcd_prefix: str) -> None:
    async with etcd.watch(f"{etcd_prefix}/a", 0, exact=True) as watch:
        await etcd.put(f"{etcd_prefix}/ab", b"1")
        await etcd.put(f"{etcd_prefix}/a", b"2")

        assert [event.value for event in await next_events(watch, 1)] == [b"2"]


async def test_a_watch_that_catches_up_never_runs_ahead_of_its_events(etcd: Etcd, etcd_prefix: str) -> None:
    start = (await etcd.list(etcd_prefix)).revision + 1
    for number in range(1_200):
        await etcd.put(f"{etcd_prefix}/a", str(number).encode())

    async with etcd.watch(f"{etcd_prefix}/", start) as watch:
        seen: list[Event] = []
        while len(seen) < 1_200:
            batch = await anext(watch)
            seen += batch.events
            assert batch.revision == seen[-1].mod_revision

    assert [event.value for event in seen] == [str(number).encode() for number in range(1_200)]


async def test_a_watch_from_before_a_compaction_says_so(etcd: Etcd, etcd_prefix: str) -> None:
    start = await etcd.put(f"{etcd_prefix}/a", b"1")
    compacted = await etcd.put(f"{etcd_prefix}/a", b"2")
    await etcd.compact(compacted)

    with pytest.raises(WatchCompacted) as caught:
        async with etcd.watch(f"{etcd_prefix}/", start) as watch:
            await anext(watch)

    assert caught.value.compact_revision >= compacted


async def test_a_quiet_watch_of_a_living_etcd_goes_on(etcd_server: EtcdServer, etcd_prefix: str) -> None:
    client = Etcd([etcd_server.url], timeout=0.2)
    async with client.watch(f"{etcd_prefix}/", 0) as watch:
        waiting = asyncio.ensure_future(anext(watch))
        # Several times as long as a silent etcd would be given.
        done, _ = await asyncio.wait([waiting], timeout=1.5)
        assert not done

        await client.put(f"{etcd_prefix}/a", b"1")
        assert (await waiting).events[0].value == b"1"
    await client.close()


async def test_a_watch_of_a_paused_etcd_ends(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url], timeout=0.3)
    async with client.watch("/", 0) as watch:
        own_etcd_server.pause()
        async with asyncio.timeout(2):
            with pytest.raises(EtcdUnavailable, match="silent"):
                await anext(watch)
    await client.close()


async def test_a_watch_can_not_begin_at_a_paused_etcd(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url], timeout=0.3)
    own_etcd_server.pause()
    async with asyncio.timeout(2):
        with pytest.raises(EtcdUnavailable):
            await client.watch("/", 0).open()
    await client.close()


async def test_a_watch_of_a_killed_etcd_ends_at_once(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url])
    async with client.watch("/", 0) as watch:
        own_etcd_server.kill()
        async with asyncio.timeout(1):
            with pytest.raises(EtcdUnavailable):
                await anext(watch)
        async with asyncio.timeout(1):
            with pytest.raises(EtcdUnavailable):
                await client.watch("/", 0).open()
    await client.close()


async def test_a_watch_behind_the_end_of_history_is_no_watch(etcd: Etcd, etcd_prefix: str) -> None:
    revision = await etcd.put(f"{etcd_prefix}/a", b"1")

    with pytest.raises(HistoryLost):
        await etcd.watch(f"{etcd_prefix}/", revision + 1_000_000).open()


async def test_a_watch_tells_what_was_there_before_if_asked(etcd: Etcd, etcd_prefix: str) -> None:
    start = await etcd.put(f"{etcd_prefix}/a", b"1")
    await etcd.put(f"{etcd_prefix}/a", b"2")
    await etcd.delete(f"{etcd_prefix}/a")
    async with etcd.watch(f"{etcd_prefix}/", start, previous=True) as watch:
        told = [(e.value, e.created, e.previous) for e in await next_events(watch, 3)]
    assert told == [(b"1", True, None), (b"2", False, b"1"), (None, False, b"2")]


async def next_events(watch: Watch, count: int) -> list[Event]:
    events: list[Event] = []
    while len(events) < count:
        events += (await anext(watch)).events
    return events
