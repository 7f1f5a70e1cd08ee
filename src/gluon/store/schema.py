"""From a model to tables in the database: physical names, DDL, and the record that they are there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable

from gluon.model.model import Model
from gluon.particle.tables import (
    BIND_STATE,
    BindState,
    Column,
    ColumnType,
    ForeignKey,
    ObjectTable,
    table_for,
)
from gluon.store import system_tables
from gluon.store.applied import AppliedModels
from gluon.store.column_types import string, text
from gluon.store.database import Database, DatabaseError, Transaction
from gluon.store.mariadb_leftovers import drop_leftovers
from gluon.store.names import Name, PhysicalNames, derived_name
from gluon.store.statement import Statement, compile_statement
from gluon.store.system_schema import LOCK, SystemSchema, ddl, holds_indexes

IDENTITIES = ":identities"
"""Stands in the catalogue for a service's identity table; the colon keeps it apart from all objects."""

AlsoInstall: TypeAlias = Callable[[Transaction, Model], Awaitable[None]]
"""What else belongs into the transaction that makes a model's tables."""

AWAITS_ANSWER = f"('{BindState.PENDING}', '{BindState.TIMED_OUT}')"
"""The bind states in which a port still takes an answer, as SQL; an index holds just those ports."""


_DEFERRING = ("sqlite", "postgresql")
"""The dialects whose databases can check references at commit."""


class ModelDiffers(DatabaseError):
    """The tables of a service were made for another model than the one given."""

    def __init__(self, service: str, applied_version: str, applied_digest: str) -> None:
        super().__init__(
            f"the tables of {service} were made for version {applied_version} "
            f"(digest {applied_digest[:12]}), which is not this model"
        )
        self.service = service
        self.applied_version = applied_version
        self.applied_digest = applied_digest


@dataclass(frozen=True)
class StoredTable:
    """An object's table: the logical one, the physical one, and the columns by logical name."""

    logical: ObjectTable
    table: sa.Table
    columns: Mapping[str, sa.Column[Any]]

    @property
    def key(self) -> sa.Column[Any]:
        """The column of the identifying key."""
        return self.columns[self.logical.key]


@dataclass(frozen=True)
class ServiceSchema:
    """The tables of one service as they are in the database."""

    model: Model
    tables: Mapping[str, StoredTable]
    """By name of the object."""
    identities: sa.Table | None
    """The keys (`id`, as text) and the type (`object`) of all objects that an attribute naming any
    one of several types may name; None when the model has no such attribute."""


def service_schema(model: Model, names: PhysicalNames, *, deferrable: bool = True) -> ServiceSchema:
    """The tables of a model under their physical names; raises KeyError for one that has none.

    `deferrable` has references checked at commit: objects of one transaction may refer to each other in a
    circle. MariaDB can't.
    """
    metadata = sa.MetaData()
    logical = {o.name: table_for(model, o) for o in model.objects.values()}
    identities = None
    if any(table.has_identity for table in logical.values()):
        physical = names.table(model.service, IDENTITIES)
        identities = sa.Table(
            physical,
            metadata,
            sa.Column("id", string(255)),
            sa.Column("object", string(64), nullable=False),
            sa.PrimaryKeyConstraint("id", name=derived_name("pk", physical, "id")),
            quote=True,
            sqlite_with_rowid=False,
        )
    tables = {
        name: _stored_table(table, logical, names, metadata, deferrable) for name, table in logical.items()
    }
    return ServiceSchema(model, tables, identities)


def _stored_table(
    logical: ObjectTable,
    others: Mapping[str, ObjectTable],
    names: PhysicalNames,
    metadata: sa.MetaData,
    deferrable: bool,
) -> StoredTable:
    service = logical.service
    physical = names.table(service, logical.object)
    foreign_keys = {foreign_key.column: foreign_key for foreign_key in logical.foreign_keys}

    def target(foreign_key: ForeignKey) -> str:
        if foreign_key.target is None:
            return f"{names.table(service, IDENTITIES)}.id"
        other = others[foreign_key.target]
        return f"{names.table(service, other.object)}.{names.column(service, other.object, other.key)}"

    columns: dict[str, sa.Column[Any]] = {}
    for column in logical.columns:
        name = names.column(service, logical.object, column.name)
        constraint = (
            [
                sa.ForeignKey(
                    target(foreign_keys[column.name]),
                    name=derived_name("fk", physical, name),
                    deferrable=True if deferrable else None,
                    initially="DEFERRED" if deferrable else None,
                )
            ]
            if column.name in foreign_keys
            else []
        )
        columns[column.name] = sa.Column(
            name,
            _sql_type(column),
            *constraint,
            autoincrement=False,
            nullable=column.nullable,
            quote=True,
        )
    key = columns[logical.key]
    # Left to itself PostgreSQL names it after the table, where another table may have that name.
    primary_key = sa.PrimaryKeyConstraint(key, name=derived_name("pk", physical, key.name))
    table = sa.Table(physical, metadata, *columns.values(), primary_key, quote=True)
    for unique in logical.unique:
        members = [columns[name] for name in unique]
        table.append_constraint(
            sa.UniqueConstraint(*members, name=derived_name("uq", physical, *(c.name for c in members)))
        )
    for index in logical.indexes:
        members = [columns[name] for name in index]
        sa.Index(derived_name("ix", physical, *(c.name for c in members)), *members)
    if BIND_STATE in columns:
        state = columns[BIND_STATE]
        waiting = sa.and_(state.op("IN")(sa.literal_column(AWAITS_ANSWER)))
        sa.Index(
            derived_name("ix", physical, state.name), state, sqlite_where=waiting, postgresql_where=waiting
        )
    return StoredTable(logical, table, columns)


def _sql_type(column: Column) -> sa.types.TypeEngine[Any]:
    if column.type is ColumnType.INTEGER:
        return sa.BigInteger()
    if column.type is ColumnType.DOUBLE:
        return sa.Double()
    if column.type is ColumnType.BOOLEAN:
        return sa.Boolean()
    return text() if column.length is None else string(column.length)


def _wanted_names(model: Model) -> Iterator[tuple[Name, str]]:
    tables = [table_for(model, api_object) for api_object in model.objects.values()]
    if any(table.has_identity for table in tables):
        yield Name(model.service, IDENTITIES), f"{model.service}_identities"
    for table in tables:
        yield Name(model.service, table.object), f"{model.service}_{table.object}"
        attributes = model.objects[table.object].attributes
        # The system's columns first, so that they are called the same in every table.
        for column in sorted(table.columns, key=lambda c: c.name in attributes):
            wanted = column.name if column.name in attributes else column.name.replace(":", "system_")
            yield Name(model.service, table.object, column.name), wanted


class Schema:
    """Makes tables, the system's and those of models."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect: Dialect = database.dialect
        self._applied = AppliedModels(self._dialect)
        table = system_tables.names
        self._read_names = compile_statement(
            # Of other services only the tables' names matter here: those are unique in the database.
            sa.select(table.c.service, table.c.name_of, table.c.attribute, table.c.physical).where(
                sa.or_(
                    table.c.service == sa.bindparam("service"), table.c.attribute == sa.literal_column("''")
                )
            ),
            self._dialect,
        )
        self._insert_name = compile_statement(sa.insert(table), self._dialect)

    async def prepare(self) -> None:
        """Bring the system's own tables to this release; raises SchemaTooNew."""
        await SystemSchema(self._database).prepare()

    async def install(self, model: Model, also: AlsoInstall | None = None) -> ServiceSchema:
        """The tables of a model, made and recorded in one transaction if they are not there yet.

        Of servers that do so at the same time one makes them, and the others find them. `also` is called in
        that transaction when they are made. Raises ModelDiffers when the service's
        tables were made for another model.
        """

        async def work(tx: Transaction) -> ServiceSchema:
            applied = await self._applied.of(tx, model.service)
            known = await self.names(tx, model.service)
            if applied:
                latest = applied[-1]
                if (latest.version, latest.digest) != (model.version, model.digest):
                    raise ModelDiffers(model.service, latest.version, latest.digest)
                return self._tables(model, known)
            if not self._database.transactional_ddl:
                await drop_leftovers(tx, known.tables_of(model.service))
            names = known.with_names(_wanted_names(model))
            schema = self._tables(model, names)
            added = [(name, physical) for name, physical in names.names.items() if name not in known.names]
            await tx.execute_many(
                self._insert_name,
                [
                    {"service": n.service, "name_of": n.table, "attribute": n.column, "physical": physical}
                    for n, physical in added
                ],
            )
            for statement in self._create(schema):
                await tx.execute(statement)
            await self._applied.record(tx, model)
            if also is not None:
                await also(tx, model)
            return schema

        return await self._database.write(work, alone=LOCK)

    async def names(self, tx: Transaction, service: str) -> PhysicalNames:
        """The catalogue of physical names: all of a service, and all tables'."""
        rows = await tx.fetch(self._read_names, {"service": service})
        return PhysicalNames(
            {Name(service, table, column): physical for service, table, column, physical in rows}
        )

    def _tables(self, model: Model, names: PhysicalNames) -> ServiceSchema:
        return service_schema(model, names, deferrable=self._dialect.name in _DEFERRING)

    def _create(self, schema: ServiceSchema) -> Iterator[Statement]:
        tables = [stored.table for stored in schema.tables.values()]
        if schema.identities is not None:
            tables.insert(0, schema.identities)
        # Where tables can't be undone, a server that died may have left some behind.
        leftovers = not self._database.transactional_ddl
        # PostgreSQL wants both tables of a reference to be there; the others take those that are to come.
        apart = self._dialect.name == "postgresql"
        for table in tables:
            yield ddl(
                CreateTable(
                    table,
                    include_foreign_key_constraints=[] if apart else None,
                    if_not_exists=leftovers,
                ),
                self._dialect,
            )
        for table in tables:
            if not holds_indexes(self._dialect):
                for index in sorted(table.indexes, key=lambda i: str(i.name)):
                    yield ddl(CreateIndex(index), self._dialect)
            if apart:
                for constraint in sorted(table.foreign_key_constraints, key=lambda c: str(c.name)):
                    yield ddl(AddConstraint(constraint), self._dialect)
