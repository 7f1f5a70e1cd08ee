"""Versions of Gluon's own tables: added to step by step, and usable by the release before."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from gluon.store.column_types import string
from gluon.store.database import Database, Transaction, open_database
from gluon.store.statement import Statement, compile_statement
from gluon.store.system_schema import STEPS, SchemaTooNew, Step, SystemSchema


def table(*further: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        "gluon_example",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *further,
    )


OLD = table()
NEW = table(sa.Column("name", string(40)))
INDEX = sa.Index("gluon_example_name", NEW.c.name)
OTHER = sa.Table("gluon_other", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
FIRST = (Step(1, (OLD,), serves_from=1),)
SECOND = (Step(1, (NEW,), serves_from=1), Step(2, (NEW.c.name, INDEX, OTHER), serves_from=1))
FOURTH = (*SECOND, Step(3, (), serves_from=2), Step(4, (), serves_from=3))


@pytest.fixture
async def empty(database_url: str) -> Any:
    opened = open_database(database_url)
    await opened.start()
    yield opened
    await opened.close()


async def insert(database: Database, into: sa.Table, **values: Any) -> None:
    chosen = sa.insert(into).values({name: sa.bindparam(name) for name in values})
    statement = compile_statement(chosen, database.dialect)

    async def work(tx: Transaction) -> None:
        await tx.execute(statement, values)

    await database.write(work)


async def rows(database: Database) -> list[tuple[Any, ...]]:
    statement = compile_statement(sa.select(NEW.c.id, NEW.c.name).order_by(NEW.c.id), database.dialect)
    return [tuple(row) for row in await database.read(lambda tx: tx.fetch(statement))]


async def test_an_older_database_gets_what_is_missing_and_serves_older_servers_still(empty: Database) -> None:
    older, newer = SystemSchema(empty, FIRST), SystemSchema(empty, SECOND)
    await older.prepare()
    await insert(empty, OLD, id=1)

    await newer.prepare()
    await insert(empty, NEW, id=2, name="two")
    await insert(empty, OLD, id=3)

    assert await rows(empty) == [(1, None), (2, "two"), (3, None)]
    assert await newer.version() == 2
    await older.prepare()
    await newer.prepare()
    assert await newer.version() == 2
    assert await empty.read(lambda tx: tx.fetch(Statement("SELECT * FROM gluon_other"))) == []


async def test_a_new_database_is_made_as_it_is_now(empty: Database) -> None:
    await SystemSchema(empty, SECOND).prepare()
    await insert(empty, NEW, id=1, name="one")

    assert await rows(empty) == [(1, "one")]
    assert await SystemSchema(empty, SECOND).version() == 2


async def test_a_database_of_servers_that_are_too_new_is_refused_with_a_sentence(empty: Database) -> None:
    await SystemSchema(empty, FOURTH).prepare()

    with pytest.raises(SchemaTooNew, match=r"version 4 .* know 3 at least, and this one knows 2\): upgrade"):
        await SystemSchema(empty, SECOND).prepare()
    await SystemSchema(empty, FOURTH[:3]).prepare()


def test_steps_are_numbered_and_add_only_what_may_be_empty() -> None:
    assert [step.version for step in STEPS] == list(range(1, len(STEPS) + 1))
    for step in STEPS[1:]:
        assert step.serves_from <= step.version
        for addition in step.adds:
            if isinstance(addition, sa.Column):
                assert addition.nullable, f"{addition}: servers of the release before leave it out"
