"""Answers of controllers: matched to the binds that wait, on a real etcd and a real database."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gluon.etcd.client import Etcd, Op
from gluon.etcd.keys import Keys
from gluon.particle.tables import BindState
from gluon.proton.answer import Answer
from gluon.proton.answers import AnswerWatcher, BindWaits, Row, WaitingBind
from gluon.store.database import DatabaseUnavailable, Transaction, open_database
from gluon.store.outbox import Outbox
from gluon.store.schema import Schema
from servers.etcd import EtcdServer
from store.models import NETWORK
from store.stores import Store, open_store

SERVICE = NETWORK.service


@dataclass
class Site:
    """A server's answers, with ports that wait for them; `broken` are ports that can't be stored."""

    store: Store
    outbox: Outbox
    etcd: Etcd
    keys: Keys
    waits: BindWaits = field(default_factory=BindWaits)
    broken: set[str] = field(default_factory=set)
    unlistable: bool = False
    attempts: list[str] = field(default_factory=list)

    def watcher(self) -> AnswerWatcher:
        return AnswerWatcher(self.etcd, self.keys, self.waits, self.take, self.waiting)

    async def take(self, service: str, object_name: str, port_id: str, answer: Answer) -> Row | None:
        self.attempts.append(port_id)
        if port_id in self.broken:
            raise DatabaseUnavailable("the disk is full")

        async def work(tx: Transaction) -> Row | None:
            row = await self.store.ports.take_answer(
                tx, port_id, answer.bind_id, answer.changes, BindState(answer.state)
            )
            if row is not None:
                await self.outbox.add(tx, [(self.keys.object(service, object_name, port_id), b"{}")])
            return row

        return await self.store.database.write(work)

    async def waiting(self) -> Collection[WaitingBind]:
        if self.unlistable:
            raise DatabaseUnavailable("the disk is full")
        found = await self.store.database.read(self.store.ports.unanswered)
        return [WaitingBind(SERVICE, *bind) for bind in found]

    async def bind(self, *names: str, state: BindState = BindState.PENDING) -> None:
        """Ports that wait for the bind `bind-<name>`."""
        tenant = "a868a466-bca8-4df1-8404-a77db0ecac72"

        async def work(tx: Transaction) -> None:
            for name in names:
                row = {"id": name, "tenant_id": tenant, "status": "DOWN"}
                await self.store.ports.insert(tx, row | {"bind_id": f"bind-{name}", "bind_state": state})

        await self.store.database.write(work)

    def key(self, name: str) -> str:
        return self.keys.answer(SERVICE, "Port", name)

    async def answer(self, name: str, **fields: Any) -> None:
        value = {"bind_id": f"bind-{name}", "controller": "odl", "vif_type": "ovs"} | fields
        await self.etcd.put(self.key(name), json.dumps(value).encode())

    async def port(self, name: str) -> Row:
        row = await self.store.database.read(lambda tx: self.store.ports.get(tx, name))
        assert row is not None
        return row

    async def becomes(self, name: str, **expected: Any) -> None:
        async with asyncio.timeout(15):
            while not expected.items() <= (await self.port(name)).items():
                await asyncio.sleep(0.01)


@pytest.fixture
async def here(database_url: str, etcd: Etcd, etcd_prefix: str) -> AsyncIterator[Site]:
    async with site(database_url, etcd, etcd_prefix) as opened:
        yield opened


@asynccontextmanager
async def site(database_url: str, etcd: Etcd, prefix: str) -> AsyncIterator[Site]:
    database = open_database(database_url)
    await database.start()
    try:
        await Schema(database).prepare()
        store = await open_store(database, NETWORK)
        yield Site(store, Outbox(database.dialect), etcd, Keys(prefix))
    finally:
        await database.close()


@asynccontextmanager
async def watching(here: Site) -> AsyncIterator[AnswerWatcher]:
    watcher = here.watcher()
    task = asyncio.create_task(watcher.run())
    try:
        async with asyncio.timeout(15):
            await watcher.mirror.synced.wait()
        yield watcher
    finally:
        watcher.stop()
        await task


async def test_the_request_that_waits_gets_the_answered_port(here: Site) -> None:
    await here.bind("p")
    async with watching(here):
        with here.waits.expecting(["bind-p"]):
            await here.answer("p", vif_details={"port_filter": False})
            row = await here.waits.answered("bind-p", 15)
    assert row is not None
    assert row == await here.port("p")
    assert (row["vif_type"], row["status"]) == ("ovs", "ACTIVE")
    assert json.loads(row["vif_details"]) == {"port_filter": False}
    assert await here.store.database.read(here.outbox.depth) == 1
    assert len(here.waits) == 0


async def test_a_refusal_is_an_answer(here: Site) -> None:
    await here.bind("p")
    async with watching(here):
        with here.waits.expecting(["bind-p"]):
            await here.answer("p", rejected="no such bridge")
            row = await here.waits.answered("bind-p", 15)
    assert row is not None
    assert (row["vif_type"], row["status"]) == ("binding_failed", "DOWN")
    assert row["bind_state"] == BindState.REFUSED


async def test_when_the_time_is_over_the_wait_gives_nothing_and_the_answer_is_still_taken(here: Site) -> None:
    await here.bind("p")
    async with watching(here):
        with here.waits.expecting(["bind-p"]):
            assert await here.waits.answered("bind-p", 0.0) is None
        await here.answer("p")
        await here.becomes("p", vif_type="ovs", bind_state=BindState.ANSWERED)


async def test_a_bind_that_is_not_expected_any_more_leaves_nothing_behind(here: Site) -> None:
    with pytest.raises(RuntimeError):
        with here.waits.expecting(["bind-p"]):
            raise RuntimeError("the write failed")
    assert len(here.waits) == 0
    here.waits.settle("bind-p", {})


async def test_answers_that_came_while_nobody_looked_are_taken_at_the_start(here: Site) -> None:
    await here.bind("late", state=BindState.TIMED_OUT)
    await here.bind("pending")
    await here.bind("done", state=BindState.ANSWERED)
    for name in ("late", "pending", "done", "deleted-long-ago"):
        await here.answer(name)
    async with watching(here):
        for name in ("late", "pending"):
            await here.becomes(name, vif_type="ovs", status="ACTIVE")
    # The stale ones cost one look into the database for all of them, and no write.
    assert sorted(here.attempts) == ["late", "pending"]


async def test_an_answer_to_an_earlier_bind_of_the_port_changes_nothing(here: Site) -> None:
    await here.bind("p", "q")
    async with watching(here):
        await here.answer("p", bind_id="bind-before")
        await here.answer("q")
        await here.becomes("q", vif_type="ovs")
        assert (await here.port("p"))["vif_type"] is None
        await here.answer("p")
        await here.becomes("p", vif_type="ovs")


async def test_malformed_answers_are_spoken_of_once_and_disturb_nobody(
    here: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await here.bind("p", "q")
    bad = [
        here.key("p"),
        here.keys.answers() + "too/many/segments/by/far",
        here.keys.answers() + "alone",
        here.keys.answers() + "%ff/%00/x",
    ]
    with caplog.at_level(logging.WARNING):
        async with watching(here) as watcher:
            for _ in range(3):
                for key in bad:
                    await here.etcd.put(key, b'{"vif_type": 7}')
            await here.answer("q")
            await here.becomes("q", vif_type="ovs")
            assert watcher.counters.malformed == len(bad)
    assert [sum(key in r.message for r in caplog.records) for key in bad] == [1] * len(bad)


async def test_an_answer_is_for_the_bind_that_it_names_whichever_key_it_came_by(here: Site) -> None:
    await here.bind("p", "q")
    async with watching(here) as watcher:
        for port, bind in (("p", "bind-p"), ("q", "bind-other")):
            key = here.keys.answer(SERVICE, "Port", port, "host-2")
            await here.etcd.put(key, json.dumps({"bind_id": bind, "vif_type": "ovs"}).encode())
        await here.becomes("p", vif_type="ovs")
        assert watcher.counters.malformed == 0
        assert (await here.port("q"))["vif_type"] is None


async def test_an_answer_that_can_not_be_stored_holds_up_no_other_and_is_tried_again(here: Site) -> None:
    names = [f"p{i}" for i in range(200)]
    await here.bind(*names, "good")
    here.broken.update(names)
    async with watching(here) as watcher:
        for name in [*names, "good"]:
            await here.answer(name)
        await here.becomes("good", vif_type="ovs")
        assert (await watcher.health())["status"] == "degraded"
        assert "the disk is full" in (await watcher.health())["failing"].values()
        here.broken.clear()
        await asyncio.gather(*[here.becomes(name, vif_type="ovs") for name in names])
        assert (await watcher.health())["status"] == "ok"


async def test_a_newer_answer_replaces_one_that_can_not_be_stored(here: Site) -> None:
    await here.bind("p")
    here.broken.add("p")
    async with watching(here) as watcher:
        await here.answer("p", vif_type="old")
        async with asyncio.timeout(15):
            while not watcher.counters.failing:
                await asyncio.sleep(0.01)
        await here.answer("p", vif_type="new")
        async with asyncio.timeout(15):
            while len(here.attempts) < 3:
                await asyncio.sleep(0.01)
        here.broken.clear()
        await here.becomes("p", vif_type="new")


async def test_answers_wait_for_a_database_that_can_not_be_read(here: Site) -> None:
    await here.bind("p")
    here.unlistable = True
    async with watching(here) as watcher:
        await here.answer("p")
        async with asyncio.timeout(15):
            while not watcher.counters.failures:
                await asyncio.sleep(0.01)
        here.unlistable = False
        await here.becomes("p", vif_type="ovs")


async def test_a_thousand_answers_at_once_are_all_taken_within_the_bind_timeout(here: Site) -> None:
    names = [f"port-{i}" for i in range(1000)]
    await here.bind(*names)
    ids = [f"bind-{name}" for name in names]
    async with watching(here):
        with here.waits.expecting(ids):
            begun = time.monotonic()
            waiting = asyncio.gather(*[here.waits.answered(bind_id, 8.0) for bind_id in ids])
            for at in range(0, len(names), 100):
                await here.etcd.transact(
                    [],
                    [
                        Op.put(
                            here.key(name),
                            json.dumps({"bind_id": f"bind-{name}", "vif_type": "ovs"}).encode(),
                        )
                        for name in names[at : at + 100]
                    ],
                )
            rows = await waiting
            assert time.monotonic() - begun < 8.0
    assert [row["id"] for row in rows if row is not None] == names
    assert await here.store.database.read(here.outbox.depth) == 1000


async def test_answers_given_while_etcd_was_away_from_us_are_taken_on_its_return(
    tmp_path: Path, own_etcd_server: EtcdServer
) -> None:
    etcd = Etcd([own_etcd_server.url], timeout=2.0)
    async with site(f"sqlite:///{tmp_path}/gluon.sqlite", etcd, "") as here:
        await here.bind("p", "q")
        async with watching(here) as watcher:
            await here.answer("p")
            await here.becomes("p", vif_type="ovs")
            own_etcd_server.stop()
            async with asyncio.timeout(15):
                while watcher.mirror.synced.is_set():
                    await asyncio.sleep(0.01)
            assert (await watcher.health())["status"] == "degraded"
            own_etcd_server.start()
            await own_etcd_server.ready()
            other = Etcd([own_etcd_server.url])
            await other.put(here.key("q"), json.dumps({"bind_id": "bind-q", "vif_type": "ovs"}).encode())
            await other.close()
            await here.becomes("q", vif_type="ovs")
    await etcd.close()
