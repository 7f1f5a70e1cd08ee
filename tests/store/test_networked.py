"""What PostgreSQL and MariaDB have in common: broken connections, lost commits, the pool, lone reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gluon.store.database import (
    DatabaseError,
    DatabaseOptions,
    DatabaseUnavailable,
    OutcomeUnknown,
    Transaction,
    open_database,
)
from gluon.store.outbox import Outbox
from gluon.store.statement import Statement
from servers.etcd import free_ports
from servers.postgresql import PostgresqlServer
from store.cutting import wire_to
from store.networked import NETWORKED, THINGS, names, opened
from store.stores import open_store

# -- connections that break ---------------------------------------------------------------------------


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_whose_connection_breaks_is_done_once_and_said_so(url: str, arrives: bool) -> None:
    async with wire_to(url) as (wire, near), opened(near) as database:
        store = await open_store(database, THINGS)
        runs = 0

        async def work(tx: Transaction) -> str:
            nonlocal runs
            runs += 1
            await store["Thing"].insert(tx, {"id": "1", "name": f"run {runs}"})
            return f"run {runs}"

        wire.cut_at_commit(arrives=arrives)
        result = await database.write(work)

        assert wire.cuts == 1
        assert result == ("run 1" if arrives else "run 2")
        assert await names(store) == {"1": result}
        assert database.counters.outcomes_looked_up == 1
        assert database.counters.connections_lost == 1


async def test_connections_that_break_while_nobody_uses_them_are_counted(url: str) -> None:
    async with wire_to(url) as (wire, near), opened(near) as database:
        store = await open_store(database, THINGS)
        met = asyncio.Barrier(3)

        async def meet(_: Transaction) -> None:
            await met.wait()

        await asyncio.gather(*[database.read(meet) for _ in range(3)])
        wire.cut()
        async with asyncio.timeout(10):
            while any(session.usable for session in database._pool._idle):
                await asyncio.sleep(0.01)
        assert await names(store) == {}
        assert database.counters.connections_lost == 3


async def test_whatever_breaks_when_a_work_is_done_or_unavailable(url: str) -> None:
    async with wire_to(url) as (wire, near), opened(near) as database:
        store = await open_store(database, THINGS)
        done: set[str] = set()

        async def insert(number: int) -> None:
            try:
                await store.insert("Thing", id=str(number), name="n")
                done.add(str(number))
            except DatabaseUnavailable as error:
                assert not isinstance(error, OutcomeUnknown)

        async def cut() -> None:
            for _ in range(10):
                await asyncio.sleep(0.01)
                wire.cut()

        await asyncio.gather(cut(), *[insert(number) for number in range(60)])

        assert set(await names(store)) == done
        await insert(99)
        assert "99" in done


async def test_a_database_that_is_away_is_unavailable_at_once_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = PostgresqlServer(tmp_path_factory.mktemp("own"))
    try:
        server.start()
        server.wait_ready()
        server.query("CREATE DATABASE gluon")
        async with opened(server.url("gluon"), pool_timeout=2.0, statement_timeout=1.0) as database:
            store = await open_store(database, THINGS)
            await store.insert("Thing", id="1", name="before")
            for end in (server.stop, server.kill):
                end()
                started = asyncio.get_running_loop().time()
                with pytest.raises(DatabaseUnavailable, match="can't be reached"):
                    await store.insert("Thing", id="2", name="meanwhile")
                with pytest.raises(DatabaseUnavailable):
                    await names(store)
                assert asyncio.get_running_loop().time() - started < 1.5
                server.start()
                server.wait_ready()
                assert await names(store) == {"1": "before"}
            server.pause()
            with pytest.raises(DatabaseUnavailable):
                async with asyncio.timeout(10):
                    await names(store)
            server.resume()
    finally:
        server.kill()


@pytest.mark.parametrize("kind", NETWORKED)
async def test_a_start_waits_for_the_database_but_not_for_ever(kind: str) -> None:
    (port,) = free_ports(1)
    database = open_database(
        f"{kind}://gluon:secret@127.0.0.1:{port}/gluon", options=DatabaseOptions(pool_timeout=0.5)
    )
    started = asyncio.get_running_loop().time()

    with pytest.raises(DatabaseUnavailable, match=rf"gluon:\*\*\*@127.0.0.1:{port}/gluon can't be reached"):
        await database.start()

    assert 0.4 < asyncio.get_running_loop().time() - started < 3
    await database.close()


async def test_a_start_that_is_refused_says_so_at_once(url: str) -> None:
    database = open_database(url.replace("gluon:", "nobody:"))
    started = asyncio.get_running_loop().time()

    with pytest.raises(DatabaseUnavailable, match="nobody"):
        await database.start()

    assert asyncio.get_running_loop().time() - started < 3
    await database.close()


# -- the pool, and callers that are gone ----------------------------------------------------------------


async def test_connections_are_limited_and_waited_for_in_turn(url: str) -> None:
    async with opened(url, max_pool_size=2, pool_timeout=1.5) as database:
        go = asyncio.Event()
        inside: list[int] = []

        async def hold(tx: Transaction, number: int) -> None:
            await tx.fetch(Statement("SELECT 1"))
            inside.append(number)
            await go.wait()

        holding = [asyncio.ensure_future(database.write(lambda tx, n=n: hold(tx, n))) for n in range(2)]
        async with asyncio.timeout(10):
            while len(inside) < 2:
                await asyncio.sleep(0.01)
        with pytest.raises(DatabaseUnavailable, match="all 2 connections to the database are in use"):
            await database.write(lambda tx: hold(tx, 3))
        waiting = asyncio.ensure_future(database.write(lambda tx: hold(tx, 4)))
        await asyncio.sleep(0.05)
        go.set()
        await asyncio.gather(*holding, waiting)

        assert sorted(inside) == [0, 1, 4]


async def test_what_has_begun_is_completed_though_its_caller_is_gone(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        begun, go_on = asyncio.Event(), asyncio.Event()
        told = asyncio.Event()
        database.on_commit(told.set)

        async def work(tx: Transaction) -> None:
            await store["Thing"].insert(tx, {"id": "1", "name": "n"})
            begun.set()
            await go_on.wait()

        caller = asyncio.ensure_future(database.write(work))
        await begun.wait()
        caller.cancel()
        go_on.set()
        async with asyncio.timeout(10):
            await told.wait()

        assert caller.cancelled() or caller.cancelling()
        assert await names(store) == {"1": "n"}


async def test_a_read_whose_caller_is_cancelled_ends_and_leaves_a_sound_pool(url: str) -> None:
    async with opened(url, max_pool_size=2) as database:
        outbox = Outbox(database.dialect)

        async def reading() -> None:
            while True:
                await database.read(outbox.state)

        for number in range(40):
            reader = asyncio.create_task(reading())
            await asyncio.sleep(number / 4000)
            reader.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait((reader,))
            assert reader.cancelled()

        assert await database.read(outbox.depth) == 0


async def test_a_rehearsal_leaves_nothing_behind(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)

        async def work(tx: Transaction) -> dict[str, Any]:
            return await store["Thing"].insert(tx, {"id": "1", "name": "n"})

        assert (await database.rehearse(work))["revision_number"] == 1
        assert await names(store) == {}


async def test_a_read_is_one_snapshot_and_writes_nothing(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        seen: list[Any] = []

        async def work(tx: Transaction) -> None:
            seen.append(await store["Thing"].get(tx, "1"))
            await store.insert("Thing", id="1", name="n")
            seen.append(await store["Thing"].get(tx, "1"))

        await database.read(work)

        assert seen == [None, None]
        assert await names(store) == {"1": "n"}


# -- one statement alone --------------------------------------------------------------------------------


async def test_one_select_alone_leaves_no_transaction_behind(url: str) -> None:
    async with opened(url) as database, opened(url, statement_timeout=2.0) as other:
        store = await open_store(database, THINGS)
        await store.insert("Thing", id="1", name="n")
        table = Statement(str(store["Thing"]._get.text).partition("WHERE")[0])
        assert len(await database.fetch(table)) == 1
        name = table.text.rpartition("FROM ")[2].strip()
        await other.write(lambda tx: tx.execute(Statement(f"ALTER TABLE {name} ADD COLUMN more INT")))
        await store.insert("Thing", id="2", name="n")
        assert len(await database.fetch(table)) == 2


async def test_one_select_is_done_again_on_a_new_connection(url: str) -> None:
    async with wire_to(url) as (wire, near), opened(near) as database:
        assert await database.fetch(Statement("SELECT 1")) == [(1,)]
        wire.cut()
        assert await database.fetch(Statement("SELECT 2")) == [(2,)]
        assert database.counters.connections_lost == 1
        with pytest.raises(DatabaseError, match="nothing_like_it"):
            await database.fetch(Statement("SELECT * FROM nothing_like_it"))
        assert await database.fetch(Statement("SELECT 3")) == [(3,)]
