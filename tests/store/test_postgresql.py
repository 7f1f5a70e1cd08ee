"""What is PostgreSQL's own: news of other servers' commits, ids of transactions, what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url

from gluon.store.database import (
    DatabaseOptions,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    Transaction,
    UniqueViolation,
    open_database,
)
from gluon.store.driver import Outcome
from gluon.store.outbox import Outbox
from gluon.store.paging import PageQuery
from gluon.store.postgresql import PostgresqlDatabase, PostgresqlDriver
from gluon.store.postgresql_session import Mark, PostgresqlSession
from gluon.store.schema import Schema
from gluon.store.statement import Statement
from servers.etcd import free_ports
from servers.postgresql import PostgresqlServer
from store.models import ID, NAME, api_object, attribute, model, reference
from store.stores import Store, open_store

THINGS = model("things", api_object("Thing", [ID, NAME, attribute("long"), reference("other", "Thing")]))


@pytest.fixture
def url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    with postgresql_server.fresh_database() as fresh:
        yield fresh


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[PostgresqlDatabase]:
    database = open_database(url, options=DatabaseOptions(**options))
    assert isinstance(database, PostgresqlDatabase)
    await database.start()
    try:
        await Schema(database).prepare()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def sessions(url: str, count: int) -> AsyncIterator[list[PostgresqlSession]]:
    """Sessions as the pool has them, to do things in an order that transactions don't let one choose."""
    driver = PostgresqlDriver(make_url(url), DatabaseOptions())
    found = [await driver.connect() for _ in range(count)]
    try:
        yield [session for session in found if isinstance(session, PostgresqlSession)]
    finally:
        for session in found:
            session.abort()


async def until(condition: Any, within: float = 15.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


def counting(database: PostgresqlDatabase) -> list[None]:
    calls: list[None] = []
    database.on_commit(lambda: calls.append(None))
    return calls


_CUT_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND query LIKE '%gluon_outbox%' AND pid <> pg_backend_pid()"
)
"""Ends the connections of a database that listen."""


async def insert(store: Store, key: str) -> None:
    await store.insert("Thing", id=key, name="n")


# -- news of commits ------------------------------------------------------------------------------------


async def test_servers_hear_of_each_others_commits(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        other = await open_store(second, THINGS)
        heard, also_heard = counting(first), counting(second)

        await insert(store, "1")
        assert heard == [None]
        await until(lambda: also_heard)

        also_heard.clear()
        await insert(other, "2")
        assert also_heard == [None]
        await until(lambda: len(heard) == 2)


async def test_of_what_only_reads_or_is_undone_nobody_is_told(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        await insert(store, "1")
        calls, others = counting(first), counting(second)

        await store.database.write(lambda tx: store["Thing"].get(tx, "1", lock=True))
        await store.database.rehearse(lambda tx: store["Thing"].delete(tx, "1"))
        with pytest.raises(UniqueViolation):
            await insert(store, "1")
        assert not calls
        await insert(store, "2")
        await until(lambda: others)

        assert calls == [None]


async def test_commits_close_together_are_told_together(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        await until(lambda: first.signal.notified)
        others, before = counting(second), first.signal.notified

        await asyncio.gather(*[insert(store, str(n)) for n in range(100)])
        await until(lambda: others)

        assert 1 <= first.signal.notified - before < 100


async def test_a_listener_that_was_cut_off_listens_again_and_calls_once_for_what_it_may_have_missed(
    url: str, postgresql_server: PostgresqlServer
) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        await insert(store, "1")
        await until(lambda: first.signal.notified)
        calls = counting(second)

        await asyncio.to_thread(postgresql_server.query, _CUT_OFF, make_url(url).database)
        await until(lambda: calls)
        calls.clear()
        await insert(store, "2")
        await until(lambda: calls)


# -- what became of a transaction -------------------------------------------------------------------------


async def marked(session: PostgresqlSession, number: int = 7) -> Mark:
    """A transaction that wrote, and is not over."""
    await session.begin(read_only=False)
    touched = await session.execute(
        "INSERT INTO gluon_outbox (transaction_number, key, value, created) VALUES ($1, 'k', NULL, 0)",
        (number,),
    )
    assert touched == 1
    mark = await session.mark(number)
    assert mark is not None
    return mark


async def test_the_first_write_brings_the_transactions_id(url: str) -> None:
    async with opened(url), sessions(url, 1) as (session,):
        mark = await marked(session)
        rows = await session.fetch("SELECT pg_current_xact_id()::text", ())
        assert rows[0][0] == mark.transaction_id
        await session.commit()

        await session.begin(read_only=False)
        assert await session.execute("DELETE FROM gluon_outbox WHERE key = $1", ("nobody",)) == 0
        assert await session.mark(1) is None
        await session.roll_back()


async def test_committed_and_undone_transactions_are_told_apart(url: str) -> None:
    async with opened(url), sessions(url, 2) as (session, asking):
        mark = await marked(session)
        await session.commit()
        assert await asking.outcome(mark, 7) is Outcome.COMMITTED

        mark = await marked(session)
        await session.roll_back()
        assert await asking.outcome(mark, 8) is Outcome.UNDONE


async def test_a_transaction_that_is_still_open_is_ended(url: str) -> None:
    async with opened(url), sessions(url, 2) as (session, asking):
        mark = await marked(session)
        assert await asking.outcome(mark, 7) is Outcome.UNDER_WAY
        async with asyncio.timeout(10):
            while (outcome := await asking.outcome(mark, 7)) is Outcome.UNDER_WAY:
                await asyncio.sleep(0.01)
        assert outcome is Outcome.UNDONE


async def test_after_a_crash_an_id_proves_nothing_as_it_may_be_anothers(url: str) -> None:
    """As if the server had crashed since, and given the id of the transaction that was lost once more."""
    async with opened(url), sessions(url, 2) as (session, asking):
        others = await marked(session, number=1)
        await session.commit()
        ours = Mark(others.transaction_id, ("before the crash",))
        assert await asking.outcome(ours, 2) is Outcome.UNKNOWN
        # Our own outbox rows prove it.
        assert await asking.outcome(ours, 1) is Outcome.COMMITTED

        others = await marked(session, number=3)
        assert await asking.outcome(Mark(others.transaction_id, ("before the crash",)), 2) is Outcome.UNDONE
        # Another's transaction is left alone.
        await session.commit()

        never = Mark(str(int(others.transaction_id) + 1000), ("before the crash",))
        assert await asking.outcome(never, 2) is Outcome.UNDONE


async def test_a_crash_is_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = PostgresqlServer(tmp_path_factory.mktemp("own"))
    try:
        server.start()
        server.wait_ready()
        async with sessions(server.url("postgres"), 2) as (one, same):
            assert one._incarnation == same._incarnation
        server.kill()
        server.start()
        server.wait_ready()
        async with sessions(server.url("postgres"), 1) as (other,):
            assert one._incarnation != other._incarnation
    finally:
        server.kill()


# -- what errors mean -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "x" * 65},
        {"id": "x" * 5000},
    ],
)
async def test_what_no_column_holds_is_an_invalid_value(url: str, values: dict[str, str]) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        with pytest.raises(InvalidValue):
            await store.insert("Thing", **{"id": "1", **values})
        await insert(store, "1")


async def test_numbers_beyond_64_bits_are_invalid_values(url: str) -> None:
    async with opened(url) as database:
        with pytest.raises(InvalidValue):
            await database.read(lambda tx: tx.fetch(Statement("SELECT $1::bigint", ("n",)), (2**63,)))


async def test_long_text_that_is_not_found_by_is_kept(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        row = await store.insert("Thing", id="1", long="é" * 1_000_000)
        assert await database.read(lambda tx: store["Thing"].get(tx, "1")) == row


async def test_a_reference_that_leads_nowhere_fails_at_the_commit(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        reached = False

        async def work(tx: Transaction) -> None:
            nonlocal reached
            await store["Thing"].insert(tx, {"id": "1", "other": "nobody"})
            reached = True

        with pytest.raises(ReferenceViolation):
            await database.write(work)
        assert reached


async def test_a_statement_takes_no_longer_than_allowed(url: str) -> None:
    async with opened(url, statement_timeout=0.3) as database:
        with pytest.raises(DatabaseUnavailable, match=r"a statement took longer than 0\.3 s"):
            await database.read(lambda tx: tx.fetch(Statement("SELECT pg_sleep(5)")))


# -- text -------------------------------------------------------------------------------------------------


async def test_text_is_sorted_by_its_bytes(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        words = [
            "a",
            "B",
            "b",
            "A",
            "é",
            "e\u0301",
            "Z",
            "_",
            "-",
            "a b",
            "ab",
            "a-b",
            "",
            "ß",
            "ss",
            "\U0001f600",
        ]
        for number, word in enumerate(words):
            await store.insert("Thing", id=str(number), name=word)

        page = await database.read(
            lambda tx: store["Thing"].page(tx, PageQuery(limit=100, sort=[("name", False)]))
        )

        assert [row["name"] for row in page.rows] == sorted(words, key=str.encode)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
async def test_a_driver_in_the_url_makes_no_difference(url: str, scheme: str) -> None:
    async with opened(f"{scheme}:{url.partition(':')[2]}?ssl=disable") as database:
        assert await database.read(Outbox(database.dialect).depth) == 0


async def test_of_several_hosts_one_that_answers_is_taken(url: str) -> None:
    (gone,) = free_ports(1)
    parsed = make_url(url)
    hosts = (f"127.0.0.1:{gone}", f"127.0.0.1:{parsed.port}")
    several = URL.create(
        "postgresql", parsed.username, parsed.password, database=parsed.database, query={"host": hosts}
    ).render_as_string(hide_password=False)
    async with opened(several) as database:
        assert await database.read(Outbox(database.dialect).depth) == 0


async def test_it_is_reached_by_a_unix_socket(tmp_path: Path) -> None:
    server = PostgresqlServer(tmp_path / "own", unix_socket=True)
    try:
        server.start()
        server.wait_ready()
        parsed = make_url(server.url("postgres"))
        query = {"host": str(server.data.parent), "port": str(server.port)}
        socket = URL.create(
            "postgresql", parsed.username, parsed.password, database="postgres", query=query
        ).render_as_string(hide_password=False)
        async with opened(socket) as database:
            assert await database.read(Outbox(database.dialect).depth) == 0
    finally:
        server.kill()


async def test_a_database_that_is_not_there_is_named_at_once(postgresql_server: PostgresqlServer) -> None:
    database = open_database(postgresql_server.url("nothing"))
    started = asyncio.get_running_loop().time()
    with pytest.raises(DatabaseUnavailable, match='database "nothing" does not exist'):
        await database.start()
    assert asyncio.get_running_loop().time() - started < 3
    await database.close()
