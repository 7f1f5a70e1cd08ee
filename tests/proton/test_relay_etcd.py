"""The relay when its etcd is away, hangs, is wiped, refuses what it is given, or is full."""

from __future__ import annotations

import asyncio
from pathlib import Path

from proton.relaying import Site, eventually, running, site, writes
from servers.etcd import EtcdServer


async def test_etcd_away_and_back(tmp_path: Path, own_etcd_server: EtcdServer) -> None:
    async with site(f"sqlite:///{tmp_path}/gluon.sqlite", own_etcd_server.url, "") as here:
        async with running(here.relay()) as relay:
            await here.commit((0, b"0"))
            await here.drained()
            own_etcd_server.stop()
            for i in range(1, 300):
                await here.commit((i % 50, b"%d" % i))
            await eventually(lambda: relay.counters.failures > 0 or not relay.is_leader)
            report = await relay.health()
            assert report["depth"] == 299
            own_etcd_server.start()
            await own_etcd_server.ready()
            await here.drained()
            await eventually(lambda: relay.counters.last_error is None)
            assert (await relay.health())["status"] == "ok"
        assert await here.stored() == {str(i % 50): b"%d" % i for i in range(250, 300)}


async def test_etcd_that_hangs_in_the_middle_leaves_no_row_out_and_writes_none_twice(
    tmp_path: Path, own_etcd_server: EtcdServer
) -> None:
    async with site(f"sqlite:///{tmp_path}/gluon.sqlite", own_etcd_server.url, "") as here:
        async with running(here.relay(lease=20)) as relay:
            number = 0
            for _ in range(2):
                for _ in range(200):
                    await here.commit((number, b"v"))
                    number += 1
                own_etcd_server.pause()
                for _ in range(100):
                    await here.commit((number, b"v"))
                    number += 1
                failures = relay.counters.failures
                await eventually(lambda before=failures: relay.counters.failures > before)
                own_etcd_server.resume()
                await here.drained()
        events = await writes(here.etcd, here.keys.objects())
    assert [event.key for event in events] == [here.key(i) for i in range(number)]


async def test_an_etcd_that_was_wiped_is_written_to_and_spoken_of(
    tmp_path: Path, own_etcd_server: EtcdServer
) -> None:
    told: list[str] = []

    async def lost() -> None:
        told.append("lost")

    async with site(f"sqlite:///{tmp_path}/gluon.sqlite", own_etcd_server.url, "") as here:
        relay = here.relay()
        relay._on_history_lost = lost
        async with running(relay):
            for i in range(20):
                await here.commit(("before", b"%d" % i))
                await here.drained()
            own_etcd_server.kill()
            own_etcd_server.wipe()
            own_etcd_server.start()
            await own_etcd_server.ready()
            await here.commit(("after", b"1"))
            await here.drained()
            assert await here.stored() == {"after": b"1"}
            report = await relay.health()
    assert told == ["lost"]
    assert report["status"] == "degraded"
    assert "wiped or restored" in report["reasons"][0]


async def test_a_row_that_etcd_refuses_is_set_aside_and_holds_up_only_its_own_key(here: Site) -> None:
    for i in range(20):
        await here.commit((f"before-{i}", b"1"))
    await here.commit(("poison", b"fine"))
    await here.commit(("poison", bytes(3 * 1024 * 1024)))
    for i in range(20):
        await here.commit((f"after-{i}", b"1"))
    async with running(here.relay()) as relay:
        await eventually(lambda: relay.counters.rows == 41)
        await here.commit(("poison", b"later"), ("beside", b"1"))
        await eventually(lambda: relay.counters.rows == 42)
        async with asyncio.timeout(30):
            # What was sent last is removed a moment later.
            while await here.depth() > 2:
                await asyncio.sleep(0.01)
        report = await relay.health()
        [refused] = await here.database.read(here.outbox.refused)
        stored = await here.stored()
        await here.database.write(lambda tx: here.outbox.remove(tx, [refused.id]))
        await here.drained()
    names = {f"{when}-{i}" for when in ("before", "after") for i in range(20)} | {"beside", "poison"}
    assert set(stored) == names
    assert stored["poison"] == b"fine"
    assert report["depth"] == 2
    assert report["status"] == "degraded"
    assert report["reasons"] == [
        "etcd refuses 1 change, and 1 more waits behind: table gluon_outbox_set_aside says why"
    ]
    assert refused.key == here.key("poison")
    assert "large" in refused.reason
    # Once the refused row is gone, those behind it go on.
    assert (await here.stored())["poison"] == b"later"


async def test_a_row_that_etcd_refuses_matters_no_more_once_a_later_one_has_overtaken_it(here: Site) -> None:
    await here.commit(("a", bytes(3 * 1024 * 1024)))
    await here.commit(("a", b"small"))
    async with running(here.relay()) as relay:
        await here.drained()
        assert relay.counters.set_aside == 0
    assert await here.stored() == {"a": b"small"}


async def test_an_etcd_that_takes_smaller_transactions_gets_smaller_ones(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path / "etcd", options=["--max-txn-ops", "16"])
    server.start()
    try:
        await server.ready()
        async with site(f"sqlite:///{tmp_path}/gluon.sqlite", server.url, "") as here:
            await here.commit(*[(i, b"%d" % i) for i in range(200)])
            async with running(here.relay()) as relay:
                await here.drained()
                assert relay.counters.set_aside == 0
            assert len(await here.stored()) == 200
    finally:
        server.kill()


async def test_an_etcd_without_space_is_like_one_that_is_away(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path / "etcd", options=["--quota-backend-bytes", str(2 * 1024 * 1024)])
    server.start()
    try:
        await server.ready()
        async with site(f"sqlite:///{tmp_path}/gluon.sqlite", server.url, "") as here:
            async with running(here.relay()) as relay:
                number = 0
                async with asyncio.timeout(30):
                    while relay.counters.last_error is None:
                        await here.commit((number, bytes(400_000)))
                        number += 1
                report = await relay.health()
                assert relay.counters.set_aside == 0
            assert "space" in report["reasons"][0]
            assert await here.depth() > 0
    finally:
        server.kill()
