"""The SQLite database: transactions, groups of them, rehearsals, snapshots, its URL."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gluon.store.database import (
    DatabaseError,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    Transaction,
    UniqueViolation,
    UnsupportedDatabase,
    Work,
    open_database,
)
from gluon.store.sqlite import SqliteDatabase
from store.family import ALL, CREATE, INSERT, INSERT_CHILD, ids, inserting


class Held:
    """Holds the writer in a work, so that what is asked for meanwhile becomes one group."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._let_go = threading.Event()
        begun = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        async def work(tx: Transaction) -> None:
            loop.call_soon_threadsafe(begun.set_result, None)
            self._let_go.wait(10)

        self.begun = begun
        self._task = asyncio.ensure_future(database.write(work))

    async def let_go(self) -> None:
        self._let_go.set()
        await self._task


async def in_one_group(database: SqliteDatabase, *works: Work[Any]) -> list[Any]:
    held = Held(database)
    await held.begun
    together = asyncio.gather(*[database.write(work) for work in works], return_exceptions=True)
    await asyncio.sleep(0)
    await held.let_go()
    return await together


async def test_a_write_is_visible_to_reads_once_it_is_answered(family: SqliteDatabase) -> None:
    assert await family.write(inserting("a")) == "a"

    assert await ids(family) == ["a"]


async def test_a_work_that_raises_leaves_nothing(family: SqliteDatabase) -> None:
    with pytest.raises(LookupError):
        await family.write(inserting("a", "b", then=LookupError("no")))

    assert await ids(family) == []


async def test_one_bad_member_of_a_group_fails_alone(family: SqliteDatabase) -> None:
    outcomes = await in_one_group(
        family,
        inserting("a"),
        inserting("b", then=LookupError("after it wrote")),
        inserting("c", "a"),
        inserting("d"),
    )

    assert [type(o) for o in outcomes] == [str, LookupError, UniqueViolation, str]
    assert await ids(family) == ["a", "d"]


async def test_a_rehearsal_answers_as_a_write_does_and_leaves_nothing(family: SqliteDatabase) -> None:
    commits: list[None] = []
    family.on_commit(lambda: commits.append(None))

    assert await family.rehearse(inserting("a")) == "a"
    with pytest.raises(UniqueViolation):
        await family.rehearse(inserting("a", "a"))

    assert await ids(family) == [] and not commits


async def test_the_rest_of_a_group_takes_no_notice_of_a_rehearsal(family: SqliteDatabase) -> None:
    runs: list[str] = []

    def counted(name: str) -> Work[str]:
        async def work(tx: Transaction) -> str:
            runs.append(name)
            return await inserting(name)(tx)

        return work

    async def orphan(tx: Transaction) -> None:
        await tx.execute(INSERT_CHILD, {"id": "x", "parent": "nobody"})

    held = Held(family)
    await held.begun
    together = asyncio.gather(
        family.write(counted("a")),
        family.rehearse(counted("b")),
        family.rehearse(inserting("c", then=LookupError("after it wrote"))),
        family.rehearse(orphan),
        family.write(counted("b")),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await held.let_go()

    assert [type(outcome) for outcome in await together] == [str, str, LookupError, type(None), str]
    assert await ids(family) == ["a", "b"]
    assert runs == ["a", "b", "b"]


async def test_a_member_that_raises_before_it_writes_is_left_out(family: SqliteDatabase) -> None:
    runs = 0

    async def counting(tx: Transaction) -> None:
        nonlocal runs
        runs += 1

    async def refusing(tx: Transaction) -> None:
        raise LookupError

    outcomes = await in_one_group(family, counting, refusing, inserting("a"))

    assert [type(o) for o in outcomes] == [type(None), LookupError, str]
    assert runs == 1


async def test_a_reference_that_leads_nowhere_fails_the_member_that_made_it(family: SqliteDatabase) -> None:
    async def orphan(tx: Transaction) -> None:
        await tx.execute(INSERT_CHILD, {"id": "x", "parent": "nobody"})

    async def parent_after_child(tx: Transaction) -> str:
        await tx.execute(INSERT_CHILD, {"id": "y", "parent": "p"})
        await tx.execute(INSERT, {"id": "p"})
        return "p"

    outcomes = await in_one_group(family, inserting("a"), orphan, parent_after_child, inserting("b"))

    assert [type(o) for o in outcomes] == [str, ReferenceViolation, str, str]
    assert await ids(family) == ["a", "b", "p"]


async def test_results_keep_their_order_in_large_crowds(family: SqliteDatabase) -> None:
    names = [f"{n:04}" for n in range(300)]

    assert await asyncio.gather(*[family.write(inserting(name)) for name in names]) == names

    assert await ids(family) == names


async def test_a_unique_violation_names_the_columns(family: SqliteDatabase) -> None:
    await family.write(inserting("a"))

    with pytest.raises(UniqueViolation) as caught:
        await family.write(inserting("a"))

    assert caught.value.columns == ("parent.id",)


async def test_a_swallowed_error_fails_the_transaction_all_the_same(family: SqliteDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, {"id": "a"})
        with pytest.raises(UniqueViolation):
            await tx.execute(INSERT, {"id": "a"})
        with pytest.raises(DatabaseError, match="failed already"):
            await tx.execute(INSERT, {"id": "b"})

    with pytest.raises(UniqueViolation):
        await family.write(work)

    assert await ids(family) == []


@pytest.mark.parametrize("value", [2**63, "\ud800"])
async def test_a_value_that_can_not_be_stored_is_told_apart(family: SqliteDatabase, value: object) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, {"id": value})

    with pytest.raises(InvalidValue):
        await family.write(work)


async def test_a_work_that_awaits_anything_else_is_refused(family: SqliteDatabase) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, {"id": "a"})
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaits something other"):
        await family.write(work)

    assert await ids(family) == []


async def test_a_write_whose_waiter_is_cancelled_while_it_waits_is_dropped(family: SqliteDatabase) -> None:
    held = Held(family)
    await held.begun
    waiting = asyncio.ensure_future(family.write(inserting("a")))
    other = asyncio.ensure_future(family.write(inserting("b")))
    await asyncio.sleep(0)
    waiting.cancel()
    await held.let_go()

    assert await other == "b"
    assert waiting.cancelled()
    assert await ids(family) == ["b"]


async def test_a_write_whose_waiter_is_cancelled_once_it_runs_is_completed_once(
    family: SqliteDatabase,
) -> None:
    running, go_on = threading.Event(), threading.Event()

    async def work(tx: Transaction) -> None:
        await tx.execute(INSERT, {"id": "a"})
        running.set()
        go_on.wait(10)

    waiting = asyncio.ensure_future(family.write(work))
    await asyncio.to_thread(running.wait, 10)
    waiting.cancel()
    go_on.set()
    await family.write(inserting("b"))

    assert waiting.cancelled()
    assert await ids(family) == ["a", "b"]


async def test_a_read_sees_one_moment(family: SqliteDatabase) -> None:
    between, go_on = threading.Event(), threading.Event()

    async def twice(tx: Transaction) -> tuple[int, int]:
        first = len(await tx.fetch(ALL))
        between.set()
        go_on.wait(10)
        return first, len(await tx.fetch(ALL))

    reading = asyncio.ensure_future(family.read(twice))
    await asyncio.to_thread(between.wait, 10)
    await family.write(inserting("a"))
    go_on.set()

    assert await reading == (0, 0)
    assert await ids(family) == ["a"]


async def test_a_read_can_not_write(family: SqliteDatabase) -> None:
    with pytest.raises(DatabaseError):
        await family.read(inserting("a"))


async def test_callbacks_run_once_a_commit_has_changed_something(family: SqliteDatabase) -> None:
    calls: list[str] = []

    def failing() -> None:
        calls.append("failing")
        raise ValueError

    family.on_commit(failing)
    family.on_commit(lambda: calls.append("second"))
    await family.write(inserting("a"))
    with pytest.raises(LookupError):
        await family.write(inserting(then=LookupError()))

    assert calls == ["failing", "second"]


async def test_close_finishes_what_was_asked_for(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "gluon.sqlite")
    await database.start()

    async def create(tx: Transaction) -> None:
        await tx.execute(CREATE)

    await database.write(create)
    writes = [asyncio.ensure_future(database.write(inserting(str(n)))) for n in range(200)]
    await asyncio.sleep(0)
    await database.close()

    assert len(await asyncio.gather(*writes)) == 200
    with pytest.raises(DatabaseUnavailable, match="not open"):
        await database.write(inserting("late"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle://gluon:secret@db/gluon", r"oracle://gluon:\*\*\*@db/gluon can not be used"),
        ("mssql+pymssql://db/gluon", "objects are kept in SQLite .* PostgreSQL .* or MariaDB"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("gluon.sqlite", "not the URL"),
    ],
)
def test_urls_of_other_databases_are_refused_with_a_sentence(url: str, message: str) -> None:
    with pytest.raises(UnsupportedDatabase, match=message):
        open_database(url)


def test_a_sqlite_url_names_a_file() -> None:
    database = open_database("sqlite:////var/lib/gluon/gluon.sqlite")

    assert isinstance(database, SqliteDatabase)
    assert database.path == Path("/var/lib/gluon/gluon.sqlite")
