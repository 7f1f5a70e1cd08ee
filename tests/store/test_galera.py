"""A cluster of two nodes that are both written to, and an arbitrator that lets either go on alone."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.engine import make_url

from gluon.model.model import Model
from gluon.store.database import DatabaseOptions, DatabaseUnavailable, Transaction
from gluon.store.driver import Outcome
from gluon.store.mariadb import MariadbDriver
from gluon.store.mariadb_address import parse_address
from gluon.store.mariadb_session import MariadbSession
from gluon.store.networked import NetworkedDatabase
from gluon.store.outbox import Outbox
from gluon.store.schema import Schema
from gluon.store.statement import Statement
from servers.galera import GaleraCluster
from store.models import ID, NAME, api_object, model, reference
from store.networked import opened
from store.stores import Store, open_store

# Members that are late on a busy machine are not dead: the cluster takes its time.
pytestmark = pytest.mark.timeout(240)

THINGS = model("things", api_object("Thing", [ID, NAME, reference("other", "Thing")]))
KEYS = ("a", "b", "c")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GaleraCluster]:
    cluster = GaleraCluster(tmp_path_factory.mktemp("galera"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
def name(cluster: GaleraCluster) -> Iterator[str]:
    """An empty database on all nodes."""
    cluster.nodes[0].query("CREATE DATABASE gluon")
    yield "gluon"
    cluster.nodes[0].query("DROP DATABASE gluon")


@asynccontextmanager
async def opened_on_both(cluster: GaleraCluster, name: str) -> AsyncIterator[list[NetworkedDatabase]]:
    first, second = cluster.nodes
    async with (
        opened(first.url(name), max_retries=50) as one,
        opened(second.url(name), max_retries=50) as other,
    ):
        yield [one, other]


async def change(store: Store, outbox: Outbox, tx: Transaction, key: str) -> int:
    """Change an object and have etcd told, as every write of a server does."""
    row = await store["Thing"].update(tx, key, {"name": "again"})
    assert row is not None
    revision = int(row["revision_number"])
    await outbox.add(tx, [(key, json.dumps(revision).encode())])
    return revision


async def revisions_in_outbox(database: NetworkedDatabase, outbox: Outbox) -> dict[str, list[int]]:
    rows = await database.read(lambda tx: outbox.pending(tx, 10_000))
    return {key: [json.loads(row.value or b"0") for row in rows if row.key == key] for key in KEYS}


async def test_one_objects_outbox_rows_are_in_order_whichever_node_they_were_written_through(
    cluster: GaleraCluster, name: str
) -> None:
    async with opened_on_both(cluster, name) as databases:
        store = await open_store(databases[0], THINGS)
        outbox = Outbox(databases[0].dialect)
        for key in KEYS:
            await store.insert("Thing", id=key)

        async def client(database: NetworkedDatabase) -> None:
            for key in itertools.islice(itertools.cycle(KEYS), 24):
                await database.write(lambda tx, key=key: change(store, outbox, tx, key))  # type: ignore[misc]

        await asyncio.gather(*[client(database) for database in databases * 3])

        expected = list(range(2, 2 + 6 * 24 // len(KEYS)))
        assert await revisions_in_outbox(databases[1], outbox) == dict.fromkeys(KEYS, expected)
        # What one node had begun another had overtaken: those were run again.
        assert sum(database.counters.contentions for database in databases) > 0


async def test_what_one_node_acknowledged_the_other_has(cluster: GaleraCluster, name: str) -> None:
    async with opened_on_both(cluster, name) as databases:
        store = await open_store(databases[0], THINGS)
        for number, (writer, reader) in enumerate([databases, databases[::-1]] * 20):
            key = str(number)
            await writer.write(lambda tx, key=key: store["Thing"].insert(tx, {"id": key}))  # type: ignore[misc]
            assert await reader.read(lambda tx, key=key: store["Thing"].get(tx, key)) is not None  # type: ignore[misc]
            assert await reader.write(lambda tx, key=key: store["Thing"].delete(tx, key))  # type: ignore[misc]


async def test_servers_on_different_nodes_make_the_tables_once(cluster: GaleraCluster, name: str) -> None:
    made: list[str] = []

    async def note(tx: Transaction, installed: Model) -> None:
        made.append(installed.service)

    async def server(number: int) -> None:
        async with opened(cluster.nodes[number % 2].url(name), max_retries=50) as database:
            await Schema(database).install(THINGS, note)

    await asyncio.gather(*[server(number) for number in range(4)])
    assert made == ["things"]
    assert cluster.nodes[1].query("SELECT COUNT(*) FROM gluon_locks", name) == [["0"]]


async def test_a_lost_commit_is_looked_up_on_another_node(cluster: GaleraCluster, name: str) -> None:
    async def session(number: int) -> MariadbSession:
        address = parse_address(make_url(cluster.nodes[number].url(name)))
        connected = await MariadbDriver(address, DatabaseOptions()).connect()
        assert isinstance(connected, MariadbSession)
        return connected

    broken, delayed, fresh = await session(0), await session(0), await session(1)
    await broken.mark(1)
    await broken.commit()
    await delayed.execute("INSERT INTO gluon_locks VALUES ('mine', 'me', 0)", ())
    await delayed.mark(2)

    assert await fresh.outcome(1) is Outcome.COMMITTED
    assert await fresh.outcome(2) is Outcome.UNDONE
    with pytest.raises(MariadbDriver.errors):
        await delayed.commit()
    assert await fresh.fetch("SELECT * FROM gluon_locks", ()) == []
    for one in (broken, delayed, fresh):
        one.abort()


async def test_a_node_that_is_killed_takes_nothing_with_it_and_comes_back(
    cluster: GaleraCluster, name: str
) -> None:
    dying, staying = cluster.nodes
    acknowledged: dict[str, int] = {}
    over = asyncio.Event()
    async with (
        opened(cluster.url(name), max_retries=50) as database,
        opened(staying.url(name), max_retries=50) as other,
    ):
        store = await open_store(database, THINGS)
        outbox = Outbox(database.dialect)
        for key in KEYS:
            await store.insert("Thing", id=key)

        async def client(used: NetworkedDatabase, key: str) -> None:
            while not over.is_set():
                try:
                    revision = await used.write(lambda tx: change(store, outbox, tx, key))
                except DatabaseUnavailable:
                    await asyncio.sleep(0.1)
                else:
                    acknowledged[key] = max(revision, acknowledged.get(key, 0))

        clients = [
            asyncio.create_task(client(used, key)) for used, key in itertools.product([database, other], KEYS)
        ]
        while len(acknowledged) < len(KEYS):
            await asyncio.sleep(0.05)
        await asyncio.to_thread(dying.kill)
        before = dict(acknowledged)
        while any(acknowledged[key] < before[key] + 3 for key in KEYS):
            await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*clients)

        # In this thread: its end is the end of the process.
        dying.rejoin()
        dying.wait_ready()
        async with opened(dying.url(name), max_retries=50) as back:
            for found in (back, other):
                revisions = await revisions_in_outbox(found, outbox)
                for key in KEYS:
                    # Every revision once and in order: what was acknowledged, and what was not told.
                    assert revisions[key] == list(range(2, len(revisions[key]) + 2))
                    assert revisions[key][-1] >= acknowledged[key]
            rows = await back.read(
                lambda tx: tx.fetch(Statement("SELECT id, revision_number FROM things_thing"))
            )
            assert all(revision >= acknowledged[key] for key, revision in rows)
