"""The version of Gluon's own tables: each release adds what it needs, and takes nothing away.

A database remembers which versions it has been through. A release that needs more adds it at its start, in
numbered steps. Steps only ever add (tables, columns that may be empty, indexes), so that servers of the
release before go on working beside it: that is how servers are upgraded one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from gluon.store.database import Database, DatabaseError, Transaction
from gluon.store.statement import Statement, compile_statement
from gluon.store.system_tables import (
    applied_models,
    bindings,
    etcd_memory,
    names,
    outbox,
    ports,
    schema,
    set_aside,
)
from gluon.store.timestamps import utc_now

LOCK = "schema"
"""Only one server at a time changes tables."""


class SchemaTooNew(DatabaseError):
    """A newer release has prepared the database for servers that this one is too old to be among."""


@dataclass(frozen=True)
class Step:
    """What one version has beyond the one before.

    `serves_from` is the oldest version whose servers still work on a database that has made this step.
    """

    version: int
    adds: tuple[sa.Table | sa.Column[Any] | sa.Index, ...]
    serves_from: int


STEPS = (
    # Release 0.1
    Step(1, (names, applied_models, ports, outbox, set_aside), serves_from=1),
    # Release 0.2
    Step(2, (outbox.c.seen_revision, etcd_memory), serves_from=1),
    # Release 0.3
    Step(3, (outbox.c.trace, bindings), serves_from=1),
)
"""All versions that there were, in order; one that was released does not change any more."""


class SystemSchema:
    """Brings Gluon's own tables to the version that this release needs."""

    def __init__(self, database: Database, steps: tuple[Step, ...] = STEPS) -> None:
        self._database = database
        self._dialect: Dialect = database.dialect
        self._steps = steps
        self._versions = compile_statement(
            sa.select(schema.c.version, schema.c.serves_from).order_by(schema.c.version), self._dialect
        )
        self._record = compile_statement(sa.insert(schema), self._dialect)

    async def prepare(self) -> None:
        """Make what is missing; raises SchemaTooNew."""

        async def work(tx: Transaction) -> None:
            await tx.execute(ddl(CreateTable(schema, if_not_exists=True), self._dialect))
            versions = await tx.fetch(self._versions)
            if not versions and await self._is_older_than_versions(tx):
                await self._note(tx, self._steps[0])
                versions = [(self._steps[0].version, self._steps[0].serves_from)]
            newest = self._steps[-1]
            if versions and versions[-1][1] > newest.version:
                raise SchemaTooNew(
                    f"a newer release has prepared the database (version {versions[-1][0]} of its own "
                    f"tables, for servers that know {versions[-1][1]} at least, and this one knows "
                    f"{newest.version}): upgrade this server"
                )
            if not versions:
                # The tables as they are now have in them what later steps would add.
                for table in {table.name: table for step in self._steps for table in _tables(step)}.values():
                    for statement in self._create(table):
                        await tx.execute(statement)
                await self._note(tx, newest)
                return
            for step in self._steps:
                if step.version > versions[-1][0]:
                    for addition in step.adds:
                        for statement in self._create(addition):
                            await tx.execute(statement)
                    await self._note(tx, step)

        await self._database.write(work, alone=LOCK)

    async def version(self) -> int:
        """The version that the database is at now."""
        return int((await self._database.read(lambda tx: tx.fetch(self._versions)))[-1][0])

    async def _note(self, tx: Transaction, step: Step) -> None:
        values = {"version": step.version, "serves_from": step.serves_from, "applied_at": utc_now()}
        await tx.execute(self._record, values)

    async def _is_older_than_versions(self, tx: Transaction) -> bool:
        """Whether the tables are those of the first release, which knew SQLite only and no versions."""
        if self._dialect.name != "sqlite":
            return False
        found = await tx.fetch(
            Statement(f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{names.name}'")
        )
        return bool(found)

    def _create(self, addition: sa.Table | sa.Column[Any] | sa.Index) -> Iterator[Statement]:
        # Where tables can't be undone, a server that died may have left some behind.
        leftovers = not self._database.transactional_ddl
        if isinstance(addition, sa.Column):
            compiler = self._dialect.ddl_compiler(self._dialect, None)  # type: ignore[arg-type]
            condition = "IF NOT EXISTS " if leftovers else ""
            column = compiler.get_column_specification(addition)
            yield Statement(f"ALTER TABLE {addition.table.name} ADD COLUMN {condition}{column}")
            return
        if isinstance(addition, sa.Index):
            yield ddl(CreateIndex(addition, if_not_exists=leftovers), self._dialect)
            return
        yield ddl(CreateTable(addition, if_not_exists=leftovers), self._dialect)
        if holds_indexes(self._dialect):
            return
        for index in sorted(addition.indexes, key=lambda i: str(i.name)):
            yield ddl(CreateIndex(index), self._dialect)


def _tables(step: Step) -> Iterator[sa.Table]:
    for addition in step.adds:
        if isinstance(addition, sa.Table):
            yield addition


def ddl(element: sa.schema.ExecutableDDLElement, dialect: Dialect) -> Statement:
    """The statement that makes a table, an index or a constraint."""
    return Statement(str(element.compile(dialect=dialect)))


def holds_indexes(dialect: Dialect) -> bool:
    """Whether what makes a table makes its indexes, too."""
    return getattr(dialect, "tables_hold_indexes", False)
