"""The outbox: what has to reach etcd, written in the transaction of the objects that it tells of.

Rows are numbered; one object's rows are in order, because its row is locked (or its database has one
writer) when they get their numbers. Rows of different objects may become visible late: a reader
takes what is there, in order, and never remembers "up to n". A row that etcd refuses for itself is
set aside: it and all later rows of its key wait, everything else goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.store.database import Database, Transaction
from gluon.store.statement import Statement, StatementCache, compile_statement, limited, padded
from gluon.store.system_tables import outbox, set_aside

_CHUNK = 256
"""Most keys in one statement."""

_FEW = 8
"""Rows that are read without a look at their sizes: the changes of one object, about."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A key and its new value (None deletes it); rows of one transaction share its number."""

    id: int
    transaction: int
    key: str
    value: bytes | None
    seen_revision: int | None = None
    """Only while that is the key's mod_revision in etcd (0: there is no such key); None: in any case."""
    created: float = 0.0
    """Seconds of the epoch; rows of one transaction share it, too."""
    trace: str | None = None
    """The trace that the change belongs to (W3C Trace Context)."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that etcd refused for itself, and what it said; `since` in seconds of the epoch."""

    id: int
    key: str
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How the outbox is doing."""

    depth: int
    """Rows that are not in etcd yet, those that wait behind one set aside among them."""
    oldest_age: float | None
    """Seconds since the oldest of the rows that can go was written; None when there is none."""
    set_aside: int
    """Rows that etcd refused."""
    waiting: int
    """Rows that wait behind those."""


def _insert(columns: tuple[str, ...], dialect: Dialect) -> Statement:
    values: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
    statement = compile_statement(sa.insert(outbox).inline().values(values), dialect)
    # Rows are given as tuples in this order.
    assert statement.parameters == columns, statement.parameters
    return statement


class Outbox:
    """Adds rows for the relay and takes them away again."""

    def __init__(self, dialect: Dialect) -> None:
        row, refused = outbox.c, set_aside.c
        # The second alone would do. But PostgreSQL may make a join of that, and read and sort all rows to
        # give the first ones. The first is decided by one look at a table that is nearly always empty.
        held = sa.and_(
            row.key.in_(sa.select(refused.key)),
            sa.exists().where(refused.key == row.key, refused.id <= row.id),
        )
        ready = sa.not_(held)
        one: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)

        self._dialect = dialect
        self._shapes = StatementCache()
        columns = ("transaction_number", "key", "value", "created")
        self._insert = _insert(columns, dialect)
        self._insert_traced = _insert((*columns, "trace"), dialect)
        self._insert_conditional = _insert((*columns, "seen_revision"), dialect)
        self._dialect = dialect
        self._lookups = StatementCache()
        size = sa.func.length(row.key) + sa.func.coalesce(sa.func.length(row.value), one)
        self._sizes = compile_statement(
            limited(sa.select(row.id, size).where(ready).order_by(row.id)), dialect
        )
        whole = (
            sa.select(
                *(row.id, row.transaction_number, row.key, row.value),
                *(row.seen_revision, row.created, row.trace),
            )
            .where(ready)
            .order_by(row.id)
        )
        self._pending = compile_statement(whole.where(row.id <= sa.bindparam("last")), dialect)
        self._first = compile_statement(limited(whole), dialect)
        self._forget = compile_statement(
            sa.delete(set_aside).where(refused.id == sa.bindparam("id")), dialect
        )
        self._set_aside_insert = compile_statement(
            sa.insert(set_aside).from_select(
                ["id", "key", "reason", "since"],
                sa.select(row.id, row.key, sa.bindparam("reason"), sa.bindparam("since")).where(
                    row.id == sa.bindparam("id")
                ),
            ),
            dialect,
        )
        self._depth = compile_statement(sa.select(sa.func.count()).select_from(outbox), dialect)
        self._oldest = compile_statement(
            limited(sa.select(row.created).where(ready).order_by(row.id)), dialect
        )
        self._refused = compile_statement(
            sa.select(refused.id, refused.key, refused.reason, refused.since).order_by(refused.id), dialect
        )
        self._held = compile_statement(sa.select(sa.func.count()).select_from(outbox).where(held), dialect)
        self._conditional = compile_statement(
            sa.select(sa.func.count()).select_from(outbox).where(row.seen_revision.is_not(None), ready),
            dialect,
        )

    async def add(
        self, tx: Transaction, changes: Iterable[tuple[str, bytes | None]], trace: str | None = None
    ) -> None:
        """Have keys changed in etcd once the transaction is committed, in this order; None deletes."""
        number, created = tx.number, time.time()
        if trace is None:
            await tx.insert(self._insert, [(number, key, value, created) for key, value in changes])
        else:
            rows = [(number, key, value, created, trace) for key, value in changes]
            await tx.insert(self._insert_traced, rows)

    async def add_if_unchanged(
        self, tx: Transaction, changes: Iterable[tuple[str, bytes | None, int]]
    ) -> None:
        """The same for changes that are carried out only while a key's mod_revision is the one given.

        0 stands for a key that is not there. A change whose condition doesn't hold is dropped.
        """
        number, created = tx.number, time.time()
        rows = [(number, key, value, created, revision) for key, value, revision in changes]
        await tx.execute_many(self._insert_conditional, rows)

    async def waiting_keys(self, tx: Transaction, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have rows here, set aside or not."""
        found: set[str] = set()
        for start in range(0, len(keys), _CHUNK):
            chunk = list(keys[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._lookups.get(count, lambda count=count: self._compile_lookup(count))  # type: ignore[misc]
            found.update(key for (key,) in await tx.fetch(statement, tuple(chunk)))
        return found

    async def conditional_depth(self, tx: Transaction) -> int:
        """How many conditional changes can go, and have not gone yet."""
        ((count,),) = await tx.fetch(self._conditional)
        return int(count)

    async def pending(self, tx: Transaction, limit: int, max_bytes: int = 8 << 20) -> list[OutboxRow]:
        """The first rows that can go, in order: at most `limit`, and (but for the first) `max_bytes`."""
        last, total = None, 0
        for row_id, size in await tx.fetch(self._sizes, {"limit": limit}):
            total += size
            if last is not None and total > max_bytes:
                break
            last = row_id
        if last is None:
            return []
        return [OutboxRow(*row) for row in await tx.fetch(self._pending, {"last": last})]

    async def look(self, database: Database, limit: int, max_bytes: int = 8 << 20) -> list[OutboxRow]:
        """The same on a snapshot of its own; one statement where few rows wait, whatever their size."""
        few = min(limit, _FEW)
        rows = await database.fetch(self._first, {"limit": few})
        if len(rows) < few:
            return [OutboxRow(*row) for row in rows]
        return await database.read(lambda tx: self.pending(tx, limit, max_bytes))

    async def still_there(self, tx: Transaction, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Those of these rows that were not removed yet: ids, and the numbers of their transactions."""
        found: list[tuple[int, int]] = []
        for start in range(0, len(ids), _CHUNK):
            chunk = list(ids[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._shapes.get(("there", count), lambda count=count: self._compile_there(count))  # type: ignore[misc]
            found += [(row_id, number) for row_id, number in await tx.fetch(statement, tuple(chunk))]
        return found

    async def remove(self, tx: Transaction, ids: Sequence[int]) -> None:
        """Take rows away: etcd has them."""
        for start in range(0, len(ids), _CHUNK):
            chunk = list(ids[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._shapes.get(("remove", count), lambda count=count: self._compile_remove(count))  # type: ignore[misc]
            await tx.execute(statement, tuple(chunk))
        if await tx.fetch(self._refused):
            await tx.execute_many(self._forget, [(row_id,) for row_id in ids])

    async def set_aside(self, tx: Transaction, row_id: int, reason: str) -> bool:
        """Set aside a row that etcd refuses for itself; False when there is no such row."""
        await tx.execute(self._forget, {"id": row_id})
        values = {"id": row_id, "reason": reason, "since": time.time()}
        return await tx.execute(self._set_aside_insert, values) == 1

    async def retry(self, tx: Transaction, row_id: int) -> bool:
        """Let a row that was set aside go again, and those behind it; False when it was not."""
        return await tx.execute(self._forget, {"id": row_id}) == 1

    async def refused(self, tx: Transaction) -> list[SetAside]:
        """The rows that were set aside, in order."""
        return [SetAside(*row) for row in await tx.fetch(self._refused)]

    async def depth(self, tx: Transaction) -> int:
        """How many rows are not in etcd yet."""
        ((count,),) = await tx.fetch(self._depth)
        return int(count)

    async def state(self, tx: Transaction) -> OutboxState:
        """Depth, age and alarms, for health and metrics."""
        oldest = await tx.fetch(self._oldest, {"limit": 1})
        refused = len(await tx.fetch(self._refused))
        held = (await tx.fetch(self._held))[0][0] if refused else 0
        return OutboxState(
            depth=await self.depth(tx),
            oldest_age=max(0.0, time.time() - oldest[0][0]) if oldest else None,
            set_aside=refused,
            waiting=held - refused,
        )

    def _compile_lookup(self, count: int) -> Statement:
        binds: list[sa.BindParameter[str]] = [sa.bindparam(f"k{number}") for number in range(count)]
        return compile_statement(sa.select(outbox.c.key).where(outbox.c.key.in_(binds)), self._dialect)

    def _compile_remove(self, count: int) -> Statement:
        binds: list[sa.BindParameter[int]] = [sa.bindparam(f"i{number}") for number in range(count)]
        return compile_statement(sa.delete(outbox).where(outbox.c.id.in_(binds)), self._dialect)

    def _compile_there(self, count: int) -> Statement:
        binds: list[sa.BindParameter[int]] = [sa.bindparam(f"i{number}") for number in range(count)]
        selected = sa.select(outbox.c.id, outbox.c.transaction_number)
        return compile_statement(selected.where(outbox.c.id.in_(binds)), self._dialect)
