"""What PostgreSQL and MariaDB have in common: retries, broken connections, lost commits, order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gluon.model.model import Model
from gluon.particle.tables import BindState
from gluon.store.database import (
    Database,
    DatabaseError,
    DatabaseOptions,
    DatabaseUnavailable,
    OutcomeUnknown,
    ReferenceViolation,
    Transaction,
    UniqueViolation,
    open_database,
)
from gluon.store.networked import NetworkedDatabase
from gluon.store.outbox import Outbox
from gluon.store.repository import ObjectRepository
from gluon.store.schema import Schema
from gluon.store.statement import Statement
from servers.etcd import free_ports
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer
from store.cutting import wire_to
from store.models import ID, NAME, NETWORK, api_object, model
from store.stores import TENANT_ID, Store, open_store

THINGS = model("things", api_object("Thing", [ID, NAME]))
NETWORKED = ("postgresql", "mariadb")


@pytest.fixture(params=NETWORKED)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(f"{request.param}_server")
    with server.fresh_database() as fresh:
        yield fresh


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[NetworkedDatabase]:
    database = open_database(url, options=DatabaseOptions(**options))
    assert isinstance(database, NetworkedDatabase)
    await database.start()
    try:
        await Schema(database).prepare()
        yield database
    finally:
        await database.close()


async def names(store: Store) -> dict[str, Any]:
    async def work(tx: Transaction) -> dict[str, Any]:
        rows = await store["Thing"].get_many(tx, [f"{n}" for n in range(100)])
        return {key: row["name"] for key, row in rows.items()}

    return await store.database.read(work)


# -- transactions that meet ---------------------------------------------------------------------------


async def test_works_that_lock_each_other_out_are_run_again_and_all_succeed(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        for key in ("1", "2"):
            await store.insert("Thing", id=key, name="0")
        met = asyncio.Barrier(2)
        attempts: list[str] = []

        async def both(tx: Transaction, first: str, second: str) -> None:
            attempts.append(first)
            for key in (first, second):
                row = await store["Thing"].get(tx, key, lock=True)
                assert row is not None
                if key == first and attempts.count(first) == 1:
                    await met.wait()
                await store["Thing"].update(tx, key, {"name": str(int(row["name"]) + 1)})

        await asyncio.gather(
            database.write(lambda tx: both(tx, "1", "2")), database.write(lambda tx: both(tx, "2", "1"))
        )

        assert await names(store) == {"1": "2", "2": "2"}
        assert len(attempts) > 2
        assert database.counters.contentions == len(attempts) - 2


_DEADLOCK = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END $$",
    "mariadb": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'",
}


async def test_a_work_that_never_gets_through_is_given_up(url: str) -> None:
    async with opened(url, max_retries=2) as database:
        attempts = 0

        async def work(tx: Transaction) -> None:
            nonlocal attempts
            attempts += 1
            await tx.execute(Statement(_DEADLOCK[url.partition(":")[0]]))

        with pytest.raises(DatabaseUnavailable, match=r"given up after 3 attempts: .*[Dd]eadlock"):
            await database.write(work)
        assert attempts == 3


async def test_a_server_that_hangs_in_a_transaction_does_not_keep_its_locks(url: str) -> None:
    async with opened(url) as database, opened(url, idle_timeout=1.0) as hanging:
        store = await open_store(database, THINGS)
        await store.insert("Thing", id="1", name="n")
        locked, go_on = asyncio.Event(), asyncio.Event()

        async def hang(tx: Transaction) -> None:
            await store["Thing"].get(tx, "1", lock=True)
            if not locked.is_set():
                locked.set()
                await go_on.wait()

        stuck = asyncio.ensure_future(hanging.write(hang))
        await locked.wait()
        async with asyncio.timeout(9):
            await database.write(lambda tx: store["Thing"].update(tx, "1", {"name": "other"}))
        go_on.set()
        await stuck


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


# -- the order of one object's outbox rows --------------------------------------------------------------


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


async def test_one_keys_outbox_rows_are_in_the_order_of_its_commits(url: str) -> None:
    """Objects are created, changed and deleted under few keys by many clients of two servers at once.

    Each commit's state of an object goes into the outbox as a life (made new by each creation) and a revision
    in it. Were a row numbered before its object is locked, a commit could be overtaken by the one after it.
    """
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        outbox = Outbox(first.dialect)
        things = store["Thing"]
        keys = [str(n) for n in range(3)]

        async def step(tx: Transaction, key: str, choice: float, life: str) -> None:
            row = await things.get(tx, key, lock=True)
            if row is None:
                made = await things.insert(tx, {"id": key, "name": life})
                await outbox.add(tx, [(key, document(made))])
            elif choice < 0.3:
                assert await things.delete(tx, key)
                await outbox.add(tx, [(key, None)])
            else:
                changed = await things.update(tx, key, {"name": row["name"]})
                assert changed is not None
                await outbox.add(tx, [(key, document(changed))])

        async def client(database: NetworkedDatabase, seed: int) -> None:
            choice = random.Random(seed)
            for _ in range(40):
                key, what, life = choice.choice(keys), choice.random(), uuid.UUID(int=choice.getrandbits(128))
                with contextlib.suppress(UniqueViolation):
                    await database.write(lambda tx, a=(key, what, str(life)): step(tx, *a))  # type: ignore[misc]

        await asyncio.gather(*[client((first, second)[n % 2], n) for n in range(8)])

        rows = await first.read(lambda tx: outbox.pending(tx, 10_000, 1 << 30))
        assert len(rows) > 200
        for key in keys:
            expected: tuple[str, int] | None = None
            for row in (r for r in rows if r.key == key):
                if row.value is None:
                    assert expected is not None, "deleted before it was created"
                    expected = None
                    continue
                life, revision = json.loads(row.value)
                if expected is None:
                    assert revision == 1, "changed before it was created"
                else:
                    assert (life, revision) == expected
                expected = (life, revision + 1)
            now = await first.read(lambda tx, key=key: things.get(tx, key))  # type: ignore[misc]
            assert (now and (now["name"], now["revision_number"] + 1)) == expected


def document(row: dict[str, Any]) -> bytes:
    return json.dumps([row["name"], row["revision_number"]]).encode()


async def test_a_creation_waits_for_the_deletion_that_frees_its_key(url: str) -> None:
    """The interleaving that would put a creation's outbox row before that of the deletion."""
    async with opened(url) as database:
        store = await open_store(database, NETWORK)
        other = await open_store(database, model("other", *NETWORK.objects.values()))
        outbox = Outbox(database.dialect)
        await store.insert("Port", id="p")
        deleted, go_on = asyncio.Event(), asyncio.Event()

        async def delete(tx: Transaction) -> None:
            await store["Port"].delete(tx, "p")
            deleted.set()
            await go_on.wait()
            await outbox.add(tx, [("p", None)])

        async def create(tx: Transaction, repository: ObjectRepository) -> None:
            await repository.insert(tx, {"id": "p", "tenant_id": TENANT_ID})
            await outbox.add(tx, [("p", b"again")])

        deleting = asyncio.ensure_future(database.write(delete))
        await deleted.wait()
        # Also a port of another service: the ids of ports are one key space.
        creating = asyncio.ensure_future(database.write(lambda tx: create(tx, other["Port"])))
        await asyncio.sleep(0.2)
        assert not creating.done()
        go_on.set()
        await asyncio.gather(deleting, creating)

        rows = await database.read(lambda tx: outbox.pending(tx, 10))
        assert [row.value for row in rows] == [None, b"again"]


async def test_an_object_that_is_referred_to_meanwhile_is_not_deleted(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, NETWORK)
        failures = 0
        for number in range(10):
            key = f"p{number}"
            await store.insert("Port", id=key)

            async def refer(key: str = key) -> None:
                interface = {"id": key, "port_id": key, "tenant_id": TENANT_ID}
                await first.write(lambda tx: store["Interface"].insert(tx, interface))

            results = await asyncio.gather(
                refer(),
                second.write(lambda tx, k=key: store["Port"].delete(tx, k)),
                return_exceptions=True,  # type: ignore[misc]
            )
            wrong = [r for r in results if isinstance(r, BaseException)]
            assert all(isinstance(error, ReferenceViolation) for error in wrong), wrong
            failures += len(wrong)
        assert failures == 10


# -- several servers on one database ----------------------------------------------------------------------


async def test_of_servers_that_start_at_once_one_makes_the_tables_and_all_use_them(url: str) -> None:
    made: list[str] = []

    async def publish(tx: Transaction, installed: Model) -> None:
        made.append(installed.service)

    async def server() -> dict[str, str]:
        database: Database = open_database(url)
        await database.start()
        try:
            await Schema(database).prepare()
            schema = await Schema(database).install(NETWORK, publish)
            return {name: table.table.name for name, table in schema.tables.items()}
        finally:
            await database.close()

    first, *others = await asyncio.gather(*[server() for _ in range(4)])

    assert all(other == first for other in others)
    assert made == ["net-test"]


async def test_of_answers_to_many_servers_one_is_stored(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, NETWORK)
        await store.insert("Port", id="p", bind_id="b", bind_state=BindState.PENDING)

        async def answer(database: NetworkedDatabase, number: int) -> Any:
            changes = {"vif_type": f"type {number}"}
            return await database.write(
                lambda tx: store.ports.take_answer(tx, "p", "b", changes, BindState.ANSWERED)
            )

        rows = await asyncio.gather(*[answer((first, second)[n % 2], n) for n in range(16)])

        (taken,) = [row for row in rows if row is not None]
        assert await first.read(lambda tx: store.ports.get(tx, "p")) == taken
        assert taken["revision_number"] == 2
