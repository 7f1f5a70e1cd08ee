"""An etcd that was wiped or restored is noticed, and resynced by itself, whoever died or was away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gluon.etcd.errors import HistoryLost
from gluon.proton import resync as resync_module
from gluon.proton.relay import Relay
from gluon.proton.resync_keeper import ResyncKeeper
from gluon.store.etcd_memory import Remembered
from proton.resyncing import Town, town
from servers.etcd import EtcdServer

PATIENCE = 30.0


@pytest.fixture
async def here(tmp_path: Path, own_etcd_server: EtcdServer) -> AsyncIterator[Town]:
    async with town(f"sqlite:///{tmp_path / 'gluon.sqlite'}", own_etcd_server.url, "") as opened:
        yield opened


class Leader:
    """A server's relay and its keeper."""

    def __init__(self, here: Town) -> None:
        self.relay: Relay = here.relay()
        self.keeper = ResyncKeeper(
            here.database, here.outbox, here.memory, here.resync(), lambda: self.relay.is_leader
        )
        self.relay._on_history_lost = self.keeper.history_lost


@asynccontextmanager
async def leading(here: Town) -> AsyncIterator[Leader]:
    leader = Leader(here)
    tasks = [asyncio.create_task(part.run()) for part in (leader.relay, leader.keeper)]
    try:
        yield leader
    finally:
        leader.keeper.stop()
        leader.relay.stop()
        await asyncio.gather(*tasks)


async def remembered(here: Town) -> Remembered:
    found = await here.database.read(here.memory.recall)
    assert found is not None
    return found


async def agreed(here: Town, within: float = PATIENCE) -> None:
    """Return when etcd has what the database has, and nothing is owed."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        found = await here.database.read(here.memory.recall)
        if found is not None and found.debt is None and not await here.depth():
            with suppress(HistoryLost):
                if await here.stored() == await here.rows():
                    return
        assert asyncio.get_running_loop().time() < deadline, f"still not: {found}"
        await asyncio.sleep(0.02)


async def started(server: EtcdServer) -> None:
    server.start()
    await server.ready()


async def wiped(server: EtcdServer) -> None:
    server.kill()
    server.wipe()
    await started(server)


async def learn_of_loss(here: Town) -> None:
    """The test's own client says so once, like any other."""
    with pytest.raises(HistoryLost):
        await here.etcd.list("/")


async def test_wiped_while_the_relay_runs(here: Town, own_etcd_server: EtcdServer) -> None:
    async with leading(here) as leader:
        await here.create_ports(50)
        await here.drained()
        await wiped(own_etcd_server)
        # Fresh changes don't wait for it.
        new = await here.create("Vpn")
        await agreed(here)
        assert leader.keeper.counters.runs == 1
        assert await here.value("Vpn", new) is not None
        for part in (leader.relay, leader.keeper):
            assert (await part.health())["status"] == "ok"
        counts = await here.check()
        assert (counts.correct, counts.differences) == (102, 0)


async def test_wiped_while_the_relay_was_away(here: Town, own_etcd_server: EtcdServer) -> None:
    async with leading(here):
        await here.create_ports(50)
        await here.drained()
        await agreed(here)
    await wiped(own_etcd_server)
    # Others have written meanwhile: revisions alone tell nothing.
    await learn_of_loss(here)
    for number in range(200):
        await here.etcd.put("/status/acme/Port/p/shim", b"%d" % number)
    async with leading(here) as leader:
        await agreed(here)
        assert leader.relay.counters.histories_lost == 1
        assert leader.keeper.counters.repaired == 101


async def test_an_older_etcd_restored_while_the_relay_was_away(
    here: Town, own_etcd_server: EtcdServer, tmp_path: Path
) -> None:
    async with leading(here):
        kept, doomed = await here.create("Vpn"), await here.create("Vpn")
        await agreed(here)
    own_etcd_server.stop()
    shutil.copytree(own_etcd_server.data, tmp_path / "backup")
    await started(own_etcd_server)
    async with leading(here):
        await here.change("Vpn", kept, name="fresh")
        await here.delete("Vpn", doomed)
        await here.create("Vpn")
        await agreed(here)
    own_etcd_server.stop()
    own_etcd_server.wipe()
    shutil.copytree(tmp_path / "backup", own_etcd_server.data)
    await started(own_etcd_server)
    await learn_of_loss(here)
    assert await here.value("Vpn", doomed) is not None
    async with leading(here) as leader:
        await agreed(here)
        assert leader.keeper.counters.repaired == 3


async def test_what_is_owed_outlives_the_leader(
    here: Town, own_etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync_module, "AT_ONCE", 5)
    async with leading(here):
        await here.create_ports(200)
        await agreed(here)
    await wiped(own_etcd_server)
    async with leading(here) as first:
        async with asyncio.timeout(PATIENCE):
            while not first.keeper.counters.done:
                await asyncio.sleep(0.005)
        report = await first.keeper.health()
        assert report["status"] == "degraded"
        assert "etcd was wiped or restored" in report["reasons"][0]
        assert f"resyncing: {first.keeper.counters.done} of 401" in report["reasons"][0]
    assert first.keeper.counters.runs == 0
    assert (await remembered(here)).debt is not None
    async with leading(here) as second:
        await agreed(here)
        assert second.keeper.counters.runs == 1


async def test_an_etcd_that_was_only_away_is_owed_nothing(here: Town, own_etcd_server: EtcdServer) -> None:
    async with leading(here) as leader:
        await here.create_ports(5)
        await agreed(here)
        own_etcd_server.kill()
        await here.create_ports(5)
        await started(own_etcd_server)
        await agreed(here)
    async with leading(here) as again:
        await here.create_ports(5)
        await agreed(here)
    assert leader.keeper.counters.runs == again.keeper.counters.runs == 0


async def test_wiped_again_in_the_middle(
    here: Town, own_etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync_module, "AT_ONCE", 5)
    async with leading(here) as leader:
        await here.create_ports(200)
        await agreed(here)
        await wiped(own_etcd_server)
        async with asyncio.timeout(PATIENCE):
            while not leader.keeper.counters.done:
                await asyncio.sleep(0.005)
        await wiped(own_etcd_server)
        await agreed(here)
