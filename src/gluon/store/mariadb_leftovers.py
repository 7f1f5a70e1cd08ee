"""What a server that died while it made a model's tables has left behind.

MariaDB commits with every CREATE TABLE, so such tables can't be undone with their transaction. Names come
first and the record of the model last: tables that have names, of a model that is not recorded, were never
used. They may even be of another version of the model. So they are dropped, and made anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from gluon.store.database import DatabaseError, Transaction
from gluon.store.statement import Statement

_CHUNK = 256


async def drop_leftovers(tx: Transaction, tables: Sequence[str]) -> None:
    """Drop those of the tables that are there; raises DatabaseError if one of them is in use after all."""
    there: list[str] = []
    for start in range(0, len(tables), _CHUNK):
        chunk = tuple(tables[start : start + _CHUNK])
        marks = ", ".join(["?"] * len(chunk))
        rows = await tx.fetch(
            Statement(
                "SELECT table_name FROM information_schema.tables "
                f"WHERE table_schema = DATABASE() AND table_name IN ({marks})"
            ),
            chunk,
        )
        there += [name for (name,) in rows]
    for name in there:
        if await tx.fetch(Statement(f"SELECT 1 FROM `{name}` LIMIT 1")):
            raise DatabaseError(
                f"the table {name} has rows, but gluon_applied_models has no record of the model that it "
                "belongs to: restore that record, or the database, from a backup"
            )
    if there:
        names = ", ".join(f"`{name}`" for name in there)
        # All at once and unchecked: they refer to each other.
        await tx.execute(Statement(f"SET STATEMENT foreign_key_checks=0 FOR DROP TABLE IF EXISTS {names}"))
