"""References between the objects of one transaction, where the database checks each statement by itself.

Other databases check references when a transaction is committed; InnoDB does so at once. So that objects of
one transaction may refer to each other in any order, and in a circle, here too:

- A row that refers to what is not there yet is inserted without that reference, which is filled in as soon
  as it leads somewhere, at the latest before the commit.
- A row that others still refer to is deleted as soon as they are gone, at the latest before the commit; if
  those that are left refer to each other, they lose their references first.

The checks stay on all the while: switched off, InnoDB would not lock what is referred to, nor would Galera
compare it between nodes, and a reference could lead nowhere after two transactions that met.

All of this is for what hardly ever happens. Until then it costs a comparison for each statement.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from asyncmy import errors

from gluon.store.mariadb_errors import IS_REFERENCED, NOTHING_REFERENCED, number_of, violated_column

Run: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[int]]
"""Runs a statement; how many rows it touched."""
Fetch: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[list[tuple[Any, ...]]]]

_INSERT = re.compile(r"INSERT INTO `?(\w+)`? \(([^()]*)\) VALUES \(([^()]*)\)\s*\Z")
_DELETE = re.compile(r"DELETE FROM `?(\w+)`? WHERE `?\1`?\.`?(\w+)`? = \?\s*\Z")

_KEY_COLUMNS = (
    "SELECT column_name, referenced_table_name IS NOT NULL FROM information_schema.key_column_usage "
    "WHERE table_schema = DATABASE() AND table_name = ? "
    "AND (constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class _Link:
    """A reference that was left out of a row."""

    table: str
    column: str
    value: Any
    key: str
    row: Any

    async def put(self, run: Run) -> None:
        """Fill it in, unless another statement has meanwhile."""
        column = f"`{self.column}`"
        text = f"UPDATE `{self.table}` SET {column} = ? WHERE `{self.key}` = ? AND {column} IS NULL"
        await run(text, (self.value, self.row))


@dataclass(frozen=True, slots=True)
class _Removal:
    """A row that is to go."""

    table: str
    key: str
    row: Any

    async def remove(self, run: Run) -> None:
        await run(f"DELETE FROM `{self.table}` WHERE `{self.key}` = ?", (self.row,))


class PostponedReferences:
    """What a transaction has yet to do before its references are in order."""

    def __init__(self, run: Run, fetch: Fetch) -> None:
        self._run = run
        self._fetch = fetch
        self._links: list[_Link] = []
        self._removals: list[_Removal] = []

    def __bool__(self) -> bool:
        return bool(self._links or self._removals)

    def forget(self) -> None:
        """The transaction is over."""
        self._links, self._removals = [], []

    async def postpone(self, text: str, values: tuple[Any, ...], error: errors.MySQLError) -> int:
        """Do what a refused statement was to do as far as it goes now; how many rows it touched.

        Raises the error when it is none of those statements, and other errors as they come.
        """
        number = number_of(error)
        if number in NOTHING_REFERENCED and (insert := _INSERT.match(text)):
            return await self._insert(insert, text, values, error)
        if number in IS_REFERENCED and (delete := _DELETE.match(text)):
            # It is there: others refer to it.
            self._removals.append(_Removal(delete.group(1), delete.group(2), values[0]))
            return 1
        raise error

    async def settle(self, *, finally_: bool) -> None:
        """Do what can be done now. `finally_` raises the error of what can't, and leaves nothing over."""
        error = await self._put_links() or await self._remove()
        if error is not None and finally_ and self._removals and not self._links:
            for removal in self._removals:
                await self._cut_off(removal)
            error = await self._remove()
        if error is not None and finally_:
            raise error

    async def _insert(
        self, insert: re.Match[str], text: str, values: tuple[Any, ...], error: errors.MySQLError
    ) -> int:
        table = insert.group(1)
        columns = [column.strip(" `\n") for column in insert.group(2).split(",")]
        key, _ = await self._keys(table)
        links: list[_Link] = []
        while True:
            column = violated_column(error)
            if column is None or column not in columns or len(values) != len(columns):
                raise error
            if len(key) != 1 or column in key:
                raise error
            at = columns.index(column)
            if values[at] is None:
                raise error
            links.append(_Link(table, column, values[at], key[0], values[columns.index(key[0])]))
            values = (*values[:at], None, *values[at + 1 :])
            try:
                touched = await self._run(text, values)
            except errors.IntegrityError as next_error:
                if number_of(next_error) not in NOTHING_REFERENCED:
                    raise
                error = next_error
            else:
                self._links += links
                return touched

    async def _put_links(self) -> errors.MySQLError | None:
        refused = None
        waiting, self._links = self._links, []
        for link in waiting:
            try:
                await link.put(self._run)
            except errors.IntegrityError as error:
                if number_of(error) not in NOTHING_REFERENCED:
                    raise
                refused = error
                self._links.append(link)
        return refused

    async def _remove(self) -> errors.MySQLError | None:
        """Delete what can go, until nothing more can; the error of what can't."""
        while True:
            refused = None
            waiting, self._removals = self._removals, []
            for removal in waiting:
                try:
                    await removal.remove(self._run)
                except errors.IntegrityError as error:
                    if number_of(error) not in IS_REFERENCED:
                        raise
                    refused = error
                    self._removals.append(removal)
            if len(self._removals) in (0, len(waiting)):
                return refused

    async def _cut_off(self, removal: _Removal) -> None:
        """Take the references out of a row that is to go."""
        key, referring = await self._keys(removal.table)
        columns = [column for column in referring if column not in key]
        if columns:
            cleared = ", ".join(f"`{column}` = NULL" for column in columns)
            text = f"UPDATE `{removal.table}` SET {cleared} WHERE `{removal.key}` = ?"
            await self._run(text, (removal.row,))

    async def _keys(self, table: str) -> tuple[list[str], list[str]]:
        """The columns of a table's primary key, and those that refer."""
        rows = await self._fetch(_KEY_COLUMNS, (table,))
        return [name for name, refers in rows if not refers], [name for name, refers in rows if refers]
