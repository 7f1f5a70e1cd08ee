"""The rows of one object: insert, read, update, delete, list, and who refers to them.

A row is a dict: attributes in declared order, then `created_at`, `updated_at`, `revision_number`;
ports also `bind_id` and `bind_state`. Values have the types of the API. Statements are compiled at
their first use and kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.model.model import Attribute, Model
from gluon.particle.tables import (
    CREATED_AT,
    OWNER,
    REVISION_NUMBER,
    TENANT_ID,
    UPDATED_AT,
    ColumnType,
    identified_objects,
)
from gluon.store.database import Transaction, UniqueViolation
from gluon.store.identities import Identities
from gluon.store.owner import normalised_owner
from gluon.store.paging import Page, PageQuery, PageReader, Row
from gluon.store.ports import PortIds
from gluon.store.schema import ServiceSchema, StoredTable
from gluon.store.statement import Statement, StatementCache, compile_statement, limited, padded
from gluon.store.timestamps import utc_now

_CHUNK = 512
"""Most keys in one statement: well below the limits on parameters of all databases."""
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Referrer:
    """An object that refers to another: its type, the attribute that does, and its key."""

    object: str
    attribute: str
    key: Any


class ObjectRepository:
    """All statements on the table of one object.

    With the row of an object go its entries in the service's identities and, for a port, in the
    port ids of all services: `insert` and `delete` keep those too.
    """

    def __init__(self, schema: ServiceSchema, object_name: str, dialect: Dialect) -> None:
        self.model: Model = schema.model
        self.object = schema.model.objects[object_name]
        self._schema = schema
        self._stored: StoredTable = schema.tables[object_name]
        self._dialect = dialect
        logical = self._stored.logical
        self._shown = logical.shown
        self._pick = itemgetter(*self._shown)
        self._empty: Row = dict.fromkeys(self._shown)
        self._owned = OWNER in logical.by_name
        self._numbers = self._of_type(ColumnType.DOUBLE)
        self._booleans = self._of_type(ColumnType.BOOLEAN)
        self._shapes = StatementCache()
        self._pages = PageReader(self._stored, self._shown, dialect)
        self._port_ids = PortIds(dialect) if self.object is schema.model.port else None
        self._identities = (
            Identities(schema.identities, dialect)
            if logical.has_identity and schema.identities is not None
            else None
        )

    async def insert(self, tx: Transaction, values: Mapping[str, Any]) -> Row:
        """Insert a row with these attributes (those left out are NULL) and return it whole.

        Raises UniqueViolation naming the attributes whose values another row has.
        """
        now = utc_now()
        row = {**self._empty, **values, CREATED_AT: now, UPDATED_AT: now, REVISION_NUMBER: 1}
        self._convert(row)
        parameters = self._pick(row)
        if self._owned:
            parameters = (*parameters, normalised_owner(row[TENANT_ID]))
        key = row[self.object.key]
        try:
            await tx.insert(self._insert, (parameters,))
        except UniqueViolation as error:
            raise self._explain(error) from error
        try:
            if self._identities is not None:
                await self._identities.add(tx, key, self.object.name)
        except UniqueViolation as error:
            raise self._taken((self.object.key,), self._sharing_identities) from error
        try:
            if self._port_ids is not None:
                await self._port_ids.add(tx, key, self.model.service)
        except UniqueViolation as error:
            raise self._taken((self.object.key,)) from error
        return row

    async def get(self, tx: Transaction, key: Any, *, lock: bool = False) -> Row | None:
        """The row with a key; `lock` keeps others from changing it until the transaction ends."""
        rows = await tx.fetch(self._get_locked if lock else self._get, (key,))
        return self._row(rows[0]) if rows else None

    async def get_many(self, tx: Transaction, keys: Sequence[Any], *, lock: bool = False) -> dict[Any, Row]:
        """The rows that there are with these keys, by key; `lock` as in `get`, in the order of the keys."""
        found: dict[Any, Row] = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = list(keys[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._shapes.get(
                ("many", count, lock),
                lambda count=count: self._compile_many(count, lock=lock),  # type: ignore[misc]
            )
            for values in await tx.fetch(statement, tuple(chunk)):
                row = self._row(values)
                found[row[self.object.key]] = row
        return found

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> list[Any]:
        """The next so many keys behind `marker` (None: the first ones), in the database's order of keys."""
        statement, given = (self._first_keys, {}) if marker is None else (self._next_keys, {"marker": marker})
        return [key for (key,) in await tx.fetch(statement, {**given, "limit": limit})]

    async def count(self, tx: Transaction) -> int:
        """How many rows there are."""
        ((count,),) = await tx.fetch(self._count)
        return int(count)

    async def update(
        self, tx: Transaction, key: Any, changes: Mapping[str, Any], revision: int | None = None
    ) -> Row | None:
        """Change these attributes of a row, count its revision up, and return it whole.

        With `revision`, only while that is the row's revision number; None when there is no such row.
        Raises UniqueViolation as `insert` does.
        """
        changed = dict(changes)
        self._convert(changed)
        parameters = {f"c_{name}": value for name, value in changed.items()}
        parameters |= {"now": utc_now(), "key": key, "revision": revision}
        if TENANT_ID in changed and self._owned:
            parameters["owner"] = normalised_owner(changed[TENANT_ID])
        shape = ("update", tuple(changed), revision is not None)
        statement = self._shapes.get(
            shape, lambda: self._compile_update(tuple(changed), by_revision=revision is not None)
        )
        try:
            touched = await tx.execute(statement, parameters)
        except UniqueViolation as error:
            raise self._explain(error) from error
        return await self.get(tx, key) if touched else None

    async def delete(self, tx: Transaction, key: Any) -> bool:
        """Delete a row; False when there is none. What still refers to it fails the commit."""
        if not await tx.execute(self._delete, (key,)):
            return False
        if self._identities is not None:
            await self._identities.remove(tx, key)
        if self._port_ids is not None:
            await self._port_ids.remove(tx, key)
        return True

    async def page(self, tx: Transaction, query: PageQuery) -> Page:
        """A page of a list; raises MarkerNotFound (see `gluon.store.paging`)."""
        rows = await self._pages.rows(tx, query)
        return Page([self._row(values) for values in rows[: query.limit]], len(rows) > query.limit)

    async def referrers(self, tx: Transaction, key: Any, limit: int | None = None) -> list[Referrer]:
        """Who refers to a row, itself aside: by type in declared order, then by key.

        One statement for each attribute of the model that may name this object.
        """
        found: list[Referrer] = []
        remaining = _NO_LIMIT if limit is None else limit
        for object_name, attribute, statement in self._referrers:
            if remaining <= 0:
                break
            value = str(key) if len(attribute.refers_to) > 1 else key
            own = object_name == self.object.name
            # One more than is left: the row itself may be among them.
            rows = await tx.fetch(statement, (value, remaining + own))
            keys = [k for (k,) in rows if not (own and k == key)][:remaining]
            found += [Referrer(object_name, attribute.name, k) for k in keys]
            remaining -= len(keys)
        return found

    def _of_type(self, column_type: ColumnType) -> tuple[str, ...]:
        columns = self._stored.logical.columns
        return tuple(column.name for column in columns if column.type is column_type)

    def _convert(self, row: Row) -> None:
        # What is stored is a double: an answer made from the row at hand must not differ from a later one.
        for name in self._numbers:
            value = row.get(name)
            if value is not None:
                row[name] = float(value)

    def _row(self, values: tuple[Any, ...]) -> Row:
        row = dict(zip(self._shown, values, strict=True))
        for name in self._booleans:
            value = row[name]
            if value is not None:
                row[name] = bool(value)
        return row

    def _explain(self, error: UniqueViolation) -> UniqueViolation:
        table = self._stored.table
        names = {f"{table.name}.{column.name}": name for name, column in self._stored.columns.items()}
        columns = error.columns or tuple(
            f"{table.name}.{column.name}"
            for constraint in table.constraints
            if isinstance(constraint, sa.UniqueConstraint) and constraint.name == error.constraint
            for column in constraint.columns
        )
        attributes = tuple(names[column] for column in columns if column in names)
        return self._taken(attributes or (self.object.key,))

    def _taken(self, attributes: tuple[str, ...], holders: Sequence[str] = ()) -> UniqueViolation:
        holder = " or ".join(holders or (self.object.api_name,))
        return UniqueViolation(
            f"there is already a {holder} with this {' and '.join(attributes)}",
            object=self.object.name,
            attributes=attributes,
        )

    @cached_property
    def _sharing_identities(self) -> tuple[str, ...]:
        """What the objects are called whose keys must differ from those of this one."""
        sharing = identified_objects(self.model)
        return tuple(o.api_name for o in self.model.objects.values() if o.name in sharing)

    @cached_property
    def _insert(self) -> Statement:
        values: dict[Any, Any] = {
            column: sa.bindparam(f"c{number}") for number, column in enumerate(self._stored.columns.values())
        }
        return compile_statement(sa.insert(self._stored.table).values(values), self._dialect)

    @cached_property
    def _selected(self) -> sa.Select[Any]:
        return sa.select(*[self._stored.columns[name] for name in self._shown])

    @cached_property
    def _get(self) -> Statement:
        return compile_statement(self._selected.where(self._stored.key == sa.bindparam("key")), self._dialect)

    @cached_property
    def _get_locked(self) -> Statement:
        chosen = self._selected.where(self._stored.key == sa.bindparam("key"))
        return compile_statement(chosen.with_for_update(), self._dialect)

    @cached_property
    def _delete(self) -> Statement:
        chosen = sa.delete(self._stored.table).where(self._stored.key == sa.bindparam("key"))
        return compile_statement(chosen, self._dialect)

    @cached_property
    def _referrers(self) -> tuple[tuple[str, Attribute, Statement], ...]:
        found = []
        for referring, attribute in self.model.referrers(self.object.name):
            stored = self._schema.tables[referring.name]
            chosen = (
                sa.select(stored.key)
                .where(stored.columns[attribute.name] == sa.bindparam("value"))
                .order_by(stored.key)
            )
            found.append((referring.name, attribute, compile_statement(limited(chosen), self._dialect)))
        return tuple(found)

    @cached_property
    def _count(self) -> Statement:
        chosen = sa.select(sa.func.count()).select_from(self._stored.table)
        return compile_statement(chosen, self._dialect)

    @cached_property
    def _first_keys(self) -> Statement:
        return compile_statement(limited(self._key_order), self._dialect)

    @cached_property
    def _next_keys(self) -> Statement:
        chosen = self._key_order.where(self._stored.key > sa.bindparam("marker"))
        return compile_statement(limited(chosen), self._dialect)

    @property
    def _key_order(self) -> sa.Select[Any]:
        return sa.select(self._stored.key).order_by(self._stored.key)

    def _compile_many(self, count: int, *, lock: bool) -> Statement:
        binds: list[sa.BindParameter[Any]] = [sa.bindparam(f"k{number}") for number in range(count)]
        chosen = self._selected.where(self._stored.key.in_(binds))
        if lock:
            # Always in the same order, so that two that lock several rows can't wait for each other.
            chosen = chosen.order_by(self._stored.key).with_for_update()
        return compile_statement(chosen, self._dialect)

    def _compile_update(self, names: Sequence[str], *, by_revision: bool) -> Statement:
        columns = self._stored.columns
        values: dict[Any, Any] = {columns[name]: sa.bindparam(f"c_{name}") for name in names}
        values[columns[UPDATED_AT]] = sa.bindparam("now")
        values[columns[REVISION_NUMBER]] = columns[REVISION_NUMBER] + sa.literal_column("1")
        if TENANT_ID in names and self._owned:
            values[columns[OWNER]] = sa.bindparam("owner")
        changed = sa.update(self._stored.table).where(self._stored.key == sa.bindparam("key")).values(values)
        if by_revision:
            changed = changed.where(columns[REVISION_NUMBER] == sa.bindparam("revision"))
        return compile_statement(changed, self._dialect)
