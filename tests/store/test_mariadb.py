"""What is MariaDB's own: order of numbers, references at once, tables that can't be undone, lost commits."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from gluon.model.model import Model
from gluon.store.database import (
    DatabaseError,
    DatabaseOptions,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    Transaction,
    UniqueViolation,
    UnsupportedDatabase,
    open_database,
)
from gluon.store.driver import Outcome
from gluon.store.mariadb import MariadbDriver
from gluon.store.mariadb_address import parse_address
from gluon.store.mariadb_session import MariadbSession
from gluon.store.networked import NetworkedDatabase
from gluon.store.outbox import Outbox
from gluon.store.paging import PageQuery
from gluon.store.schema import Schema
from gluon.store.statement import Statement
from servers.certificates import Certificates
from servers.mariadb import MariadbServer
from store.models import ID, NAME, api_object, attribute, model, reference
from store.networked import opened
from store.stores import open_store

THINGS = model("things", api_object("Thing", [ID, NAME, reference("other", "Thing")]))


@pytest.fixture
def url(mariadb_server: MariadbServer) -> Iterator[str]:
    with mariadb_server.fresh_database() as fresh:
        yield fresh


@asynccontextmanager
async def sessions(url: str, count: int, **options: Any) -> AsyncIterator[list[MariadbSession]]:
    """Sessions as the pool has them, to do things in an order that transactions don't let one choose."""
    driver = MariadbDriver(parse_address(make_url(url)), DatabaseOptions(**options))
    found: list[MariadbSession] = []
    try:
        for _ in range(count):
            session = await driver.connect()
            assert isinstance(session, MariadbSession)
            found.append(session)
        yield found
    finally:
        for session in found:
            session.abort()


async def changes_in_order(database: NetworkedDatabase, outbox: Outbox) -> list[tuple[str, int]]:
    rows = await database.read(lambda tx: outbox.pending(tx, 10_000))
    return [(row.key, json.loads(row.value or b"0")) for row in rows]


async def test_one_objects_outbox_rows_are_in_the_order_of_its_commits(url: str) -> None:
    async with opened(url) as first, opened(url) as second:
        store = await open_store(first, THINGS)
        outbox = Outbox(first.dialect)
        keys = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]
        for key in keys:
            await store.insert("Thing", id=key)

        async def change(tx: Transaction, key: str) -> None:
            row = await store["Thing"].update(tx, key, {"name": "again"})
            assert row is not None
            await outbox.add(tx, [(key, json.dumps(row["revision_number"]).encode())])

        async def client(database: NetworkedDatabase, seed: int) -> None:
            choice = random.Random(seed)
            for _ in range(20):
                key = choice.choice(keys)
                await database.write(lambda tx, key=key: change(tx, key))  # type: ignore[misc]

        await asyncio.gather(*[client(d, n) for n, d in enumerate([first, second] * 4)])

        changes = await changes_in_order(first, outbox)
        assert len(changes) == 160
        for key in keys:
            revisions = [revision for of, revision in changes if of == key]
            assert revisions == list(range(2, len(revisions) + 2))


async def test_row_numbers_never_come_back_after_a_restart(tmp_path: Path) -> None:
    server = MariadbServer(tmp_path)
    server.start()
    try:
        server.wait_ready()
        server.query("CREATE DATABASE gluon")
        numbers = []
        for stop in (server.stop, server.kill):
            async with opened(server.url("gluon")) as database:
                outbox = Outbox(database.dialect)
                await database.write(lambda tx, o=outbox: o.add(tx, [("a", b"1"), ("b", b"1")]))  # type: ignore[misc]
                rows = await database.read(lambda tx, o=outbox: o.pending(tx, 10))  # type: ignore[misc]
                numbers += [row.id for row in rows]
                await database.write(lambda tx, o=outbox, n=numbers: o.remove(tx, n))  # type: ignore[misc]
            stop()
            server.start()
            server.wait_ready()
        assert numbers == sorted(set(numbers))
    finally:
        server.kill()


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
async def test_objects_of_one_transaction_refer_to_each_other_in_any_order(
    url: str, order: tuple[str, ...]
) -> None:
    circle = {"a": "b", "b": "c", "c": "a"}
    async with opened(url) as database:
        store = await open_store(database, THINGS)

        async def make(tx: Transaction) -> None:
            for key in order:
                await store["Thing"].insert(tx, {"id": key, "name": key, "other": circle[key]})

        async def remove(tx: Transaction) -> None:
            for key in order:
                assert await store["Thing"].delete(tx, key)

        await database.write(make)
        rows = await database.read(lambda tx: store["Thing"].get_many(tx, list("abc")))
        assert {key: row["other"] for key, row in rows.items()} == circle

        await database.write(remove)
        assert await database.read(lambda tx: store["Thing"].get_many(tx, list("abc"))) == {}


async def test_a_reference_that_leads_nowhere_in_the_end_undoes_everything(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        await store.insert("Thing", id="kept")
        await store.insert("Thing", id="referring", other="kept")

        async def make(tx: Transaction) -> None:
            await store["Thing"].insert(tx, {"id": "a", "other": "b"})
            await store["Thing"].insert(tx, {"id": "b", "other": "nowhere"})

        async def remove(tx: Transaction) -> None:
            await store["Thing"].insert(tx, {"id": "c"})
            assert await store["Thing"].delete(tx, "kept")

        for work in (make, remove):
            with pytest.raises(ReferenceViolation):
                await database.write(work)
        found = await database.read(lambda tx: store["Thing"].page(tx, PageQuery(10)))
        assert [row["id"] for row in found.rows] == ["kept", "referring"]


async def test_a_reference_that_was_changed_before_it_could_be_filled_in_stays_so(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)

        async def work(tx: Transaction) -> None:
            await store["Thing"].insert(tx, {"id": "a", "other": "b"})
            await store["Thing"].insert(tx, {"id": "b"})
            await store["Thing"].insert(tx, {"id": "c"})
            await store["Thing"].update(tx, "a", {"other": "c"})

        await database.write(work)
        row = await database.read(lambda tx: store["Thing"].get(tx, "a"))
        assert row is not None
        assert row["other"] == "c"


async def test_strings_of_all_kinds_are_told_apart_and_sorted_by_their_bytes(url: str) -> None:
    long = "x" * 2000
    names = ["a", "a ", "A", "á", "", "\N{PILE OF POO}", "a\u0301", f"{long}1", f"{long}2"]
    keyed = api_object(
        "Named", [attribute("name", length=60, primary=True), attribute("text", length=70_000)]
    )
    named = model("named", api_object("Named", keyed.attributes.values(), key="name"))
    async with opened(url) as database:
        store = await open_store(database, named)
        for number, name in enumerate(names):
            await store.insert("Named", name=f"{number}{name}"[:60], text=name)
        for name in ("a", "a ", "A"):
            await store.insert("Named", name=name)
        with pytest.raises(UniqueViolation) as caught:
            await store.insert("Named", name="a ")
        assert caught.value.attributes == ("name",)

        query = PageQuery(100, sort=[("text", False)])
        page = await database.read(lambda tx: store["Named"].page(tx, query))
        texts = [row["text"] for row in page.rows if row["text"] is not None]
        assert texts == sorted(names, key=str.encode)


async def test_rows_may_be_wide_and_keys_long(url: str) -> None:
    letters = [attribute(f"s{n}") for n in range(80)]
    uuids = [attribute(f"u{n}", attribute("x").type) for n in range(20)]
    wide = api_object(
        "Wide",
        [ID, *letters, *uuids, attribute("json", length=200_000)],
        unique_together=("s0", "s1", "s2", "s3"),
    )
    async with opened(url) as database:
        store = await open_store(database, model("wide", wide))
        values = {f"s{n}": "\N{PILE OF POO}" * 255 for n in range(4)}
        made = await store.insert("Wide", id="1", json="é" * 200_000, **values)
        assert await database.read(lambda tx: store["Wide"].get(tx, "1")) == made
        # Put together they are the same, and yet they are not.
        await store.insert("Wide", id="2", s0="a", s1="b", s2="c", s3="d")
        await store.insert("Wide", id="3", s0="ab", s1="", s2="c", s3="d")
        await store.insert("Wide", id="4", s0="a", s1="b", s2="c")
        await store.insert("Wide", id="5", s0="a", s1="b", s2="c")
        with pytest.raises(UniqueViolation) as caught:
            await store.insert("Wide", id="6", **values)
        assert caught.value.attributes == ("s0", "s1", "s2", "s3")


async def test_what_no_column_holds_is_refused(url: str) -> None:
    insert = Statement("INSERT INTO numbers VALUES (?, ?)", ("whole", "text"))
    async with opened(url) as database:
        make = Statement("CREATE TABLE numbers (whole BIGINT, text LONGTEXT)")
        await database.write(lambda tx: tx.execute(make))
        for values in ((2**63, "a"), (2**64, "a"), (1, "\udc80")):
            with pytest.raises(InvalidValue):
                await database.write(lambda tx, values=values: tx.execute(insert, values))  # type: ignore[misc]
        with pytest.raises(InvalidValue):
            await database.write(lambda tx: tx.execute_many(insert, [(1, "a"), (2**64, "b")]))


async def test_large_outbox_values_go_in_together(url: str) -> None:
    values = [(f"k{n}", bytes([n]) * (1 << 20)) for n in range(20)]
    async with opened(url) as database:
        outbox = Outbox(database.dialect)
        await database.write(lambda tx: outbox.add(tx, [*values, ("gone", None)]))
        rows = await database.read(lambda tx: outbox.pending(tx, 100, max_bytes=1 << 30))
        assert [(row.key, row.value) for row in rows] == [*values, ("gone", None)]


async def test_transactions_in_each_others_way_are_run_again(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        for key in "ab":
            await store.insert("Thing", id=key)
        met = asyncio.Barrier(2)
        attempts = 0

        async def work(tx: Transaction, keys: str) -> None:
            nonlocal attempts
            attempts += 1
            await store["Thing"].update(tx, keys[0], {"name": keys})
            if attempts <= 2:
                await met.wait()
            await store["Thing"].update(tx, keys[1], {"name": keys})

        await asyncio.gather(*[database.write(lambda tx, k=k: work(tx, k)) for k in ("ab", "ba")])  # type: ignore[misc]

        rows = await database.read(lambda tx: store["Thing"].get_many(tx, list("ab")))
        assert attempts == 3
        assert database.counters.contentions == 1
        assert {row["revision_number"] for row in rows.values()} == {3}


async def test_a_statement_takes_no_longer_than_allowed(url: str) -> None:
    async with opened(url, statement_timeout=1.0) as database:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="statement_timeout"):
            await database.read(lambda tx: tx.fetch(Statement("SELECT SLEEP(30)")))
        assert time.monotonic() - started < 15
        assert await database.read(lambda tx: tx.fetch(Statement("SELECT 1"))) == [(1,)]


async def test_a_commit_that_was_done_is_found(url: str) -> None:
    async with opened(url), sessions(url, 2) as (broken, fresh):
        await broken.begin(read_only=False)
        await broken.mark(7)
        await broken.commit()
        broken.abort()

        assert await fresh.outcome(7) is Outcome.COMMITTED


async def test_a_commit_that_was_looked_up_in_vain_can_not_happen_any_more(url: str) -> None:
    async with opened(url) as database, sessions(url, 2) as (delayed, fresh):
        await database.write(lambda tx: tx.execute(Statement("CREATE TABLE t (n BIGINT)")))
        await delayed.begin(read_only=False)
        await delayed.execute("INSERT INTO t VALUES (1)", ())
        await delayed.mark(8)

        assert await fresh.outcome(8) is Outcome.UNDONE
        with pytest.raises(database._driver.errors):
            await delayed.commit()
        delayed.abort()
        assert await fresh.fetch("SELECT * FROM t", ()) == []


async def test_a_commit_that_is_under_way_is_not_called_undone(url: str) -> None:
    async with opened(url), sessions(url, 2) as (slow, fresh):
        await slow.execute("INSERT INTO gluon_commits VALUES (9, 0)", ())

        assert await fresh.outcome(9) is Outcome.UNDER_WAY
        await slow.commit()
        assert await fresh.outcome(9) is Outcome.COMMITTED


async def test_marks_of_commits_do_not_pile_up(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        for number in range(200):
            await store.insert("Thing", id=str(number))
        count = Statement("SELECT COUNT(*) FROM gluon_commits")
        ((left,),) = await database.read(lambda tx: tx.fetch(count))
        assert left <= 10 * 65
    async with opened(url) as database:
        ((left,),) = await database.read(lambda tx: tx.fetch(count))
        assert left <= 1  # all but that of preparing the tables just now


def other_version() -> Model:
    return model(
        "things", api_object("Thing", [ID, attribute("colour")]), api_object("New", [ID]), version="2.0"
    )


async def test_tables_of_a_model_that_was_never_finished_are_made_anew(url: str) -> None:
    async with opened(url) as database:

        async def die(tx: Transaction, installed: Model) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await Schema(database).install(THINGS, die)

        store = await open_store(database, other_version())
        made = await store.insert("Thing", id="1", colour="red")
        assert await database.read(lambda tx: store["Thing"].get(tx, "1")) == made


async def test_tables_with_rows_are_never_dropped(url: str) -> None:
    async with opened(url) as database:
        store = await open_store(database, THINGS)
        await store.insert("Thing", id="1")
        lost = Statement("DELETE FROM gluon_applied_models")
        await database.write(lambda tx: tx.execute(lost))

        with pytest.raises(DatabaseError, match="has rows"):
            await Schema(database).install(other_version())
        assert await database.read(lambda tx: store["Thing"].get(tx, "1")) is not None


async def test_servers_that_start_at_once_make_the_tables_once(url: str) -> None:
    made: list[str] = []

    async def note(tx: Transaction, installed: Model) -> None:
        made.append(installed.service)

    async def server() -> None:
        async with opened(url) as database:
            await Schema(database).install(THINGS, note)

    await asyncio.gather(*[server() for _ in range(4)])
    assert made == ["things"]


async def test_it_is_reached_by_a_socket_and_over_tls(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    certificate, key = certificates.server
    options = [f"--ssl-ca={certificates.ca}", f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    server = MariadbServer(tmp_path, options=[*options, "--require-secure-transport=ON"])
    server.start()
    try:
        server.wait_ready()
        server.query("CREATE DATABASE gluon")
        plain = server.url("gluon")
        cipher = Statement(
            "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
        )
        for query, encrypted in (
            (f"ssl_ca={certificates.ca}", True),
            (f"unix_socket={server.socket}", False),
        ):
            async with opened(f"{plain}?{query}") as database:
                ((found,),) = await database.read(lambda tx: tx.fetch(cipher))
                assert bool(found) == encrypted
        for query in ("", "?ssl=true"):
            with pytest.raises(DatabaseUnavailable):
                async with opened(f"{plain}{query}", pool_timeout=0.5):
                    pass
    finally:
        server.kill()


async def test_the_first_of_several_hosts_that_answers_is_taken(
    url: str, mariadb_server: MariadbServer
) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    ports = (9, silent.sockets[0].getsockname()[1], mariadb_server.port)
    hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
    named = url.replace(f"127.0.0.1:{mariadb_server.port}", "")
    async with silent, opened(f"{named}?{hosts}", pool_timeout=6.0) as database:
        assert await database.read(lambda tx: tx.fetch(Statement("SELECT 1"))) == [(1,)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?chaset=utf8", "chaset is unknown"),
        ("?charset=latin1", "charset must be utf8mb4"),
        ("?ssl=perhaps", "ssl must be true or false"),
        ("?ssl_ca=/nowhere.pem", "certificates can't be read"),
        ("?host=a:b", "a host is HOST or HOST:PORT"),
    ],
)
def test_urls_that_can_not_be_used_say_why(query: str, said: str) -> None:
    with pytest.raises(UnsupportedDatabase, match=said) as caught:
        open_database(f"mariadb://me:secret@localhost/gluon{query}")
    assert "secret" not in str(caught.value)


def test_a_url_names_a_database() -> None:
    with pytest.raises(UnsupportedDatabase, match="names no database"):
        open_database("mysql+asyncmy://me@localhost")


class _ResetAtOnce:
    """A connection that the server resets between its being made and the driver's look at its socket."""

    async def connect(self) -> None:
        raise RuntimeError("Transport does not expose socket instance")

    def close(self) -> None: ...


async def test_a_connection_that_is_reset_at_once_is_a_database_that_is_away(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url) as database:
        with monkeypatch.context() as patch:
            patch.setattr(database._driver, "_connection", lambda host, port: _ResetAtOnce())
            database._pool.drop_idle()
            with pytest.raises(DatabaseUnavailable, match="hung up at once"):
                await database.read(_nothing)
        await database.read(_nothing)


async def _nothing(tx: Transaction) -> None: ...
