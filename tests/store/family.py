"""Parents and their children in a SQLite file: what a bare database is tested with, without models."""

from __future__ import annotations

from gluon.store.database import Transaction, Work
from gluon.store.sqlite import SqliteDatabase
from gluon.store.statement import Statement

CREATE = Statement("CREATE TABLE parent (id TEXT PRIMARY KEY)")
CREATE_CHILD = Statement(
    "CREATE TABLE child (id TEXT PRIMARY KEY, "
    "parent TEXT REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"
)
INSERT = Statement("INSERT INTO parent VALUES (?)", ("id",))
INSERT_CHILD = Statement("INSERT INTO child VALUES (?, ?)", ("id", "parent"))
ALL = Statement("SELECT id FROM parent ORDER BY id")


def inserting(*ids: str, then: Exception | None = None) -> Work[str]:
    async def work(tx: Transaction) -> str:
        for row_id in ids:
            await tx.execute(INSERT, {"id": row_id})
        if then is not None:
            raise then
        return ids[0]

    return work


async def ids(database: SqliteDatabase) -> list[str]:
    async def work(tx: Transaction) -> list[str]:
        return [row_id for (row_id,) in await tx.fetch(ALL)]

    return await database.read(work)
