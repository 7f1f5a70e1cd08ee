"""What transactions and servers that work on one PostgreSQL or MariaDB at once do to each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from typing import Any

import pytest

from gluon.model.model import Model
from gluon.particle.tables import BindState
from gluon.store.database import (
    Database,
    DatabaseUnavailable,
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
from store.models import NETWORK, model
from store.networked import THINGS, names, opened
from store.stores import TENANT_ID, open_store

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


# -- the order of one object's outbox rows --------------------------------------------------------------


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
