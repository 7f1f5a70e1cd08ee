"""Works that only insert are committed together, and each of them ends as it would alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gluon.store.database import ReferenceViolation, Transaction, UniqueViolation, open_database
from gluon.store.networked import NetworkedDatabase
from gluon.store.outbox import Outbox, OutboxRow
from gluon.store.schema import Schema
from store.models import ID, NAME, api_object, model, reference
from store.stores import Store, open_store

WORKS = 100
THINGS = model("things", api_object("Thing", [ID, NAME, reference("other_id", "Thing")]))


@pytest.fixture
async def database(url: str) -> AsyncIterator[NetworkedDatabase]:
    opened = open_database(url)
    assert isinstance(opened, NetworkedDatabase)
    await opened.start()
    await Schema(opened).prepare()
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: NetworkedDatabase) -> Store:
    return await open_store(database, THINGS)


async def create(store: Store, key: str, other: str | None = None) -> str:
    outbox = Outbox(store.database.dialect)

    async def work(tx: Transaction) -> str:
        await store["Thing"].insert(tx, {"id": key, "name": "n", "other_id": other})
        await outbox.add(tx, [(f"/{key}/a", b"1"), (f"/{key}/b", b"2")])
        return key

    return await store.database.write(work)


async def outbox_rows(store: Store) -> list[OutboxRow]:
    outbox = Outbox(store.database.dialect)
    return await store.database.read(lambda tx: outbox.pending(tx, 10 * WORKS))


async def things(store: Store) -> int:
    return await store.database.read(store["Thing"].count)


async def test_works_that_come_together_share_commits(database: NetworkedDatabase, store: Store) -> None:
    before = database.counters.commits

    keys = await asyncio.gather(*[create(store, f"{n}") for n in range(WORKS)])

    assert keys == [f"{n}" for n in range(WORKS)]
    assert database.counters.commits - before < WORKS / 4
    assert await things(store) == WORKS


async def test_the_rows_of_each_work_stay_in_order_under_its_own_number(store: Store) -> None:
    await asyncio.gather(*[create(store, f"{n}") for n in range(WORKS)])

    by_number: dict[int, list[str]] = {}
    for row in await outbox_rows(store):
        by_number.setdefault(row.transaction, []).append(row.key)
    assert sorted(by_number.values()) == sorted([f"/{n}/a", f"/{n}/b"] for n in range(WORKS))


async def test_a_work_that_is_refused_fails_alone_and_says_why(store: Store) -> None:
    await create(store, "7")

    results = await asyncio.gather(*[create(store, f"{n}") for n in range(WORKS)], return_exceptions=True)

    refused = [(n, result) for n, result in enumerate(results) if isinstance(result, BaseException)]
    ((number, error),) = refused
    assert number == 7
    assert isinstance(error, UniqueViolation)
    assert (error.object, error.attributes) == ("Thing", ("id",))
    assert await things(store) == WORKS
    assert len(await outbox_rows(store)) == 2 * WORKS


async def test_a_reference_that_leads_nowhere_fails_its_own_work_only(store: Store) -> None:
    results = await asyncio.gather(
        *[create(store, f"{n}", "nowhere" if n == 3 else None) for n in range(20)], return_exceptions=True
    )

    assert [n for n, result in enumerate(results) if isinstance(result, BaseException)] == [3]
    assert isinstance(results[3], ReferenceViolation)
    assert await things(store) == 19


async def test_a_work_reads_what_it_has_inserted(store: Store) -> None:
    async def work(tx: Transaction) -> object:
        await store["Thing"].insert(tx, {"id": "1", "name": "n"})
        return await store["Thing"].get(tx, "1")

    row = await store.database.write(work)

    assert isinstance(row, dict)
    assert row["name"] == "n"


async def test_those_whose_callers_are_gone_are_dropped_while_they_wait(store: Store) -> None:
    creating = [asyncio.ensure_future(create(store, f"{n}")) for n in range(WORKS)]
    await asyncio.sleep(0)
    for task in creating:
        task.cancel()
    await asyncio.wait(creating)

    assert all(task.cancelled() for task in creating)
    assert await create(store, "after") == "after"
    assert await things(store) == 1
