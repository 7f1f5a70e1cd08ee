"""The outbox: what has to reach etcd, written in the transaction of the objects that it tells of.

Rows are numbered; one object's rows are in order, because its row is locked (or its database has one
writer) when they get their numbers. Rows of different objects may become visible late: a reader
takes what is there, in order, and never remembers "up to n". A row that etcd refuses for itself is
set aside: it and all later rows of its key wait, everything else goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.store.database import Transaction
from gluon.store.statement import Statement, StatementCache, compile_statement, limited, padded
from gluon.store.system_tables import outbox, set_aside

_CHUNK = 256
"""Most keys in one statement."""

_TOGETHER = 32
"""Most rows in one INSERT; each number of rows up to it is a statement of its own."""
_BYTES_TOGETHER = 4 << 20
"""Most bytes of keys and values in it."""


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


def _together(changes: Iterable[tuple[str, bytes | None]]) -> Iterator[list[tuple[str, bytes | None]]]:
    """Changes in groups for one statement each: databases bound the size of one (MariaDB: 16 MiB)."""
    some: list[tuple[str, bytes | None]] = []
    size = 0
    for key, value in changes:
        size_of_row = len(key) + len(value or b"")
        if some and (len(some) == _TOGETHER or size + size_of_row > _BYTES_TOGETHER):
            yield some
            some, size = [], 0
        some.append((key, value))
        size += size_of_row
    if some:
        yield some


class Outbox:
    """Adds rows for the relay and takes them away again."""

    def __init__(self, dialect: Dialect) -> None:
        row, refused = outbox.c, set_aside.c
        held = sa.exists().where(refused.key == row.key, refused.id <= row.id)
        ready = sa.not_(held)
        one: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)

        self._dialect = dialect
        self._shapes = StatementCache()
        self._insert_conditional = compile_statement(
            sa.insert(outbox).values(
                transaction_number=sa.bindparam("transaction_number"),
                key=sa.bindparam("key"),
                value=sa.bindparam("value"),
                created=sa.bindparam("created"),
                seen_revision=sa.bindparam("seen_revision"),
            ),
            dialect,
        )
        self._dialect = dialect
        self._lookups = StatementCache()
        self._sizes = compile_statement(
            limited(
                sa.select(row.id, sa.func.length(row.key) + sa.func.coalesce(sa.func.length(row.value), one))
                .where(ready)
                .order_by(row.id)
            ),
            dialect,
        )
        self._pending = compile_statement(
            sa.select(
                *(row.id, row.transaction_number, row.key, row.value),
                *(row.seen_revision, row.created, row.trace),
            )
            .where(ready, row.id <= sa.bindparam("last"))
            .order_by(row.id),
            dialect,
        )
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
        parameters: dict[str, Any] = {"transaction_number": tx.number, "created": time.time()}
        if trace is not None:
            parameters["trace"] = trace
        for some in _together(changes):
            for position, (key, value) in enumerate(some):
                parameters[f"k{position}"] = key
                parameters[f"v{position}"] = value
            count = len(some)
            shape = ("add" if trace is None else "trace", count)
            statement = self._shapes.get(shape, lambda shape=shape: self._compile_add(*shape))  # type: ignore[misc]
            await tx.execute(statement, parameters)

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

    def _compile_add(self, what: str, count: int) -> Statement:
        trace: dict[str, Any] = {"trace": sa.bindparam("trace")} if what == "trace" else {}
        return compile_statement(
            sa.insert(outbox).values(
                [
                    {
                        **trace,
                        "transaction_number": sa.bindparam("transaction_number"),
                        "key": sa.bindparam(f"k{position}"),
                        "value": sa.bindparam(f"v{position}"),
                        "created": sa.bindparam("created"),
                    }
                    for position in range(count)
                ]
            ),
            self._dialect,
        )

    def _compile_remove(self, count: int) -> Statement:
        binds: list[sa.BindParameter[int]] = [sa.bindparam(f"i{number}") for number in range(count)]
        return compile_statement(sa.delete(outbox).where(outbox.c.id.in_(binds)), self._dialect)

    def _compile_there(self, count: int) -> Statement:
        binds: list[sa.BindParameter[int]] = [sa.bindparam(f"i{number}") for number in range(count)]
        selected = sa.select(outbox.c.id, outbox.c.transaction_number)
        return compile_statement(selected.where(outbox.c.id.in_(binds)), self._dialect)
