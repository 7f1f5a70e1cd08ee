"""Lists of one object's rows: filtered, sorted, and continued after a marker without counting rows.

A page begins after the marker's place in the sort order (keyset paging), so pages fit together
whatever is written between them. NULL sorts before all values: first ascending, last descending. The
identifying key ends every sort, which makes the order total. Sorted by that key alone, as by default, a
page needs only the marker's key, and the marked row may be gone; otherwise the row is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.particle.tables import OWNER, TENANT_ID
from gluon.store.database import DatabaseError, Transaction
from gluon.store.owner import normalised_owner
from gluon.store.schema import StoredTable
from gluon.store.statement import Statement, StatementCache, compile_statement, limited, padded

Row: TypeAlias = dict[str, Any]
Condition: TypeAlias = sa.ColumnElement[bool]


class MarkerNotFound(DatabaseError):
    """The row that a page should begin after is not there, and its place in the order is unknown."""


Sort: TypeAlias = tuple[str, bool]
"""An attribute to sort by, and whether descending."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a list should hold.

    `filters` are the values that an attribute (or system column) may have; None among them stands for
    having none. A `tenant_id` is compared in any spelling. `tenant` keeps the list to that tenant's own
    rows. `marker` is the key of the row to begin after.
    """

    limit: int
    filters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sort: Sequence[Sort] = ()
    marker: Any = None
    tenant: str | None = None


class Page(NamedTuple):
    """Rows in order, and whether there are more behind them."""

    rows: list[Row]
    more: bool


@dataclass(frozen=True, slots=True)
class _Filter:
    """The shape of a filter: how many values are compared, and whether NULL will do."""

    column: str
    values: int
    null: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """All that the text of a page's statement depends on."""

    filters: tuple[_Filter, ...]
    sort: tuple[Sort, ...]
    owner: bool
    marker: tuple[bool, ...] | None
    """For each of the sort's columns, whether the marker's value is NULL; None without a marker."""


class PageReader:
    """Reads pages of one table in at most two statements, whatever is asked for."""

    def __init__(self, stored: StoredTable, shown: Sequence[str], dialect: Dialect) -> None:
        self._stored = stored
        self._shown = [stored.columns[name] for name in shown]
        self._dialect = dialect
        self._statements = StatementCache()

    async def rows(self, tx: Transaction, query: PageQuery) -> list[tuple[Any, ...]]:
        """The values of one row more than the limit, if there are that many.

        Raises MarkerNotFound, and KeyError for an attribute that the object has not.
        """
        sort = self._total_order(query.sort)
        parameters: dict[str, Any] = {"limit": query.limit + 1}
        filters = tuple(
            self._filter(number, attribute, values, parameters)
            for number, (attribute, values) in enumerate(query.filters.items())
        )
        if query.tenant is not None:
            parameters["owner"] = normalised_owner(query.tenant)
        nulls = None
        if query.marker is not None:
            place = await self._place(tx, sort, query, parameters)
            nulls = tuple(value is None for value in place)
            parameters.update((f"m{number}", value) for number, value in enumerate(place))
        shape = _Shape(filters, sort, query.tenant is not None, nulls)
        return await tx.fetch(self._statements.get(shape, lambda: self._compile(shape)), parameters)

    def _total_order(self, wanted: Sequence[Sort]) -> tuple[Sort, ...]:
        key = self._stored.logical.key
        order: list[Sort] = []
        for attribute, descending in wanted:
            if all(attribute != earlier for earlier, _ in order):
                order.append((attribute, descending))
            if attribute == key:
                return tuple(order)
        return (*order, (key, False))

    def _filter(
        self, number: int, attribute: str, values: Sequence[Any], parameters: dict[str, Any]
    ) -> _Filter:
        column = attribute
        given = [value for value in values if value is not None]
        if attribute == TENANT_ID and OWNER in self._stored.columns:
            column, given = OWNER, [normalised_owner(value) for value in given]
        count = padded(len(given)) if given else 0
        for position in range(count):
            parameters[f"f{number}_{position}"] = given[min(position, len(given) - 1)]
        return _Filter(column, count, None in values)

    async def _place(
        self, tx: Transaction, sort: Sequence[Sort], query: PageQuery, parameters: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The values that the marker has in the columns of the sort."""
        if len(sort) == 1:
            return (query.marker,)
        shape = (tuple(attribute for attribute, _ in sort), query.tenant is not None)
        statement = self._statements.get(shape, lambda: self._compile_place(sort, query.tenant is not None))
        rows = await tx.fetch(statement, {**parameters, "marker": query.marker})
        if not rows:
            raise MarkerNotFound(f"there is no {self._stored.logical.object} {query.marker} to go on after")
        return rows[0]

    def _compile_place(self, sort: Sequence[Sort], owned: bool) -> Statement:
        chosen = sa.select(*[self._stored.columns[attribute] for attribute, _ in sort])
        chosen = chosen.where(self._stored.key == sa.bindparam("marker"))
        if owned:
            chosen = chosen.where(self._owned())
        return compile_statement(chosen, self._dialect)

    def _compile(self, shape: _Shape) -> Statement:
        conditions = [self._matches(number, shape_of) for number, shape_of in enumerate(shape.filters)]
        if shape.owner:
            conditions.append(self._owned())
        if shape.marker is not None:
            conditions.append(self._after(shape.sort, shape.marker))
        chosen = sa.select(*self._shown).where(*conditions) if conditions else sa.select(*self._shown)
        ordered = chosen.order_by(*[self._ordering(sort) for sort in shape.sort])
        return compile_statement(limited(ordered), self._dialect)

    def _owned(self) -> Condition:
        # What has no owner is nobody's own.
        owner = self._stored.columns.get(OWNER)
        return sa.false() if owner is None else owner == sa.bindparam("owner")

    def _ordering(self, sort: Sort) -> sa.ColumnElement[Any]:
        attribute, descending = sort
        column = self._stored.columns[attribute]
        ordering = column.desc() if descending else column.asc()
        if self._dialect.name == "postgresql":  # the others have NULL before all values by themselves
            return ordering.nulls_last() if descending else ordering.nulls_first()
        return ordering

    def _matches(self, number: int, shape: _Filter) -> Condition:
        column = self._stored.columns[shape.column]
        options: list[Condition] = []
        if shape.values == 1:
            options.append(column == sa.bindparam(f"f{number}_0"))
        elif shape.values:
            binds: list[sa.BindParameter[Any]] = [
                sa.bindparam(f"f{number}_{position}") for position in range(shape.values)
            ]
            options.append(column.in_(binds))
        if shape.null:
            options.append(column.is_(None))
        return sa.or_(*options) if options else sa.false()

    def _after(self, sort: Sequence[Sort], nulls: Sequence[bool]) -> Condition:
        """Rows that come behind the marker: alike in the first n columns, and behind it in the next."""
        alternatives: list[Condition] = []
        alike: list[Condition] = []
        for number, ((attribute, descending), null) in enumerate(zip(sort, nulls, strict=True)):
            column = self._stored.columns[attribute]
            place: sa.BindParameter[Any] = sa.bindparam(f"m{number}")
            behind: Condition | None
            if descending:
                behind = None if null else sa.or_(column < place, column.is_(None))
            else:
                behind = column.is_not(None) if null else column > place
            if behind is not None:
                alternatives.append(sa.and_(*alike, behind))
            alike.append(column.is_(None) if null else column == place)
        return sa.or_(*alternatives)
