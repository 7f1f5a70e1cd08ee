"""What the database remembers of etcd, so that an etcd that was wiped or restored is noticed after a restart.

The relay notes the cluster and the revision of its last transaction. What etcd has lost since must be
brought back by a resync; that this is owed stands in the database too, until it is done: whoever leads next
knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.store.database import Transaction
from gluon.store.statement import compile_statement
from gluon.store.system_tables import etcd_memory


@dataclass(frozen=True, slots=True)
class Debt:
    """A resync that is owed: under which number, and why."""

    number: int
    reason: str


class Position(NamedTuple):
    """Where the relay's writes stand: in which cluster, and the revision of the last known one."""

    cluster_id: int
    revision: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """The etcd that was written to last; `revision` is that of the relay's last known transaction."""

    cluster_id: int
    revision: int
    debt: Debt | None

    @property
    def position(self) -> Position:
        """The same without what is owed."""
        return Position(self.cluster_id, self.revision)


class EtcdMemory:
    """Reads and writes that one row.

    Who writes names the position that it knows: when another is remembered by now, somebody else leads. So
    what a leader writes late, after the next one has begun, comes to nothing.
    """

    def __init__(self, dialect: Dialect) -> None:
        table = etcd_memory
        columns = (table.c.cluster_id, table.c.revision, table.c.debt, table.c.reason)
        self._read = compile_statement(sa.select(*columns), dialect)
        self._insert = compile_statement(sa.insert(table), dialect)
        self._note = compile_statement(
            sa.update(table)
            .values(cluster_id=sa.bindparam("cluster"), revision=sa.bindparam("now"))
            .where(
                table.c.cluster_id == sa.bindparam("last_cluster"), table.c.revision == sa.bindparam("last")
            ),
            dialect,
        )
        self._owe = compile_statement(
            sa.update(table).values(debt=sa.bindparam("number"), reason=sa.bindparam("why")), dialect
        )
        self._settle = compile_statement(
            sa.update(table)
            .values(debt=sa.null(), reason=sa.null())
            .where(table.c.debt == sa.bindparam("number")),
            dialect,
        )

    async def recall(self, tx: Transaction) -> Remembered | None:
        """What is remembered; None in a database that has never written to an etcd."""
        rows = await tx.fetch(self._read)
        if not rows:
            return None
        cluster_id, revision, debt, reason = rows[0]
        return Remembered(int(cluster_id, 16), revision, None if debt is None else Debt(debt, reason or ""))

    async def note(self, tx: Transaction, now: Position, last: Position | None) -> bool:
        """Remember where a transaction has got that etcd has; False when `last` isn't what is remembered."""
        cluster = f"{now.cluster_id:x}"
        if last is None:
            if await tx.fetch(self._read):
                return False
            row = {"id": 1, "cluster_id": cluster, "revision": now.revision, "debt": None, "reason": None}
            await tx.execute(self._insert, row)
            return True
        values = {"cluster": cluster, "now": now.revision}
        values |= {"last_cluster": f"{last.cluster_id:x}", "last": last.revision}
        return await tx.execute(self._note, values) == 1

    async def owe(self, tx: Transaction, cluster_id: int, last: Position | None, reason: str) -> bool:
        """Note that this etcd has lost its history, and has to be resynced; nothing is known of it yet.

        False as `note` has it.
        """
        if not await self.note(tx, Position(cluster_id, 0), last):
            return False
        await tx.execute(self._owe, {"number": tx.number, "why": reason})
        return True

    async def settle(self, tx: Transaction, debt: Debt) -> bool:
        """Note that a resync is done; False when another loss has come in between, and is owed for."""
        return await tx.execute(self._settle, {"number": debt.number}) == 1
