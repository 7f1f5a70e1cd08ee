"""Which object has an id, for attributes that may name an object of any one of several types.

`service_id` of a service binding that stays a plain uuid may name any service of the model. The
identity table holds the ids of all of them, and the attribute is a foreign key to it.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.store.database import Transaction
from gluon.store.statement import compile_statement


class Identities:
    """The identity table of one service. Repositories keep it; others ask it what an id names."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        self._insert = compile_statement(sa.insert(table), dialect)
        self._delete = compile_statement(sa.delete(table).where(table.c.id == sa.bindparam("id")), dialect)
        self._object = compile_statement(
            sa.select(table.c.object).where(table.c.id == sa.bindparam("id")), dialect
        )

    async def add(self, tx: Transaction, key: object, object_name: str) -> None:
        """Note an object's key; raises UniqueViolation when an object of another type has it."""
        await tx.insert(self._insert, ({"id": str(key), "object": object_name},))

    async def remove(self, tx: Transaction, key: object) -> None:
        """Forget an object's key."""
        await tx.execute(self._delete, {"id": str(key)})

    async def object_of(self, tx: Transaction, key: object) -> str | None:
        """The name of the type of the object that has this key; None when there is none."""
        rows = await tx.fetch(self._object, {"id": str(key)})
        return str(rows[0][0]) if rows else None

    async def objects_of(self, tx: Transaction, keys: Iterable[object]) -> dict[object, str]:
        """The same for several keys; those that nothing has are missing from the answer."""
        found = {key: await self.object_of(tx, key) for key in keys}
        return {key: name for key, name in found.items() if name is not None}
