"""Databases that servers reach by a network, and a few things in them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from gluon.store.database import DatabaseOptions, Transaction, open_database
from gluon.store.networked import NetworkedDatabase
from gluon.store.schema import Schema
from store.models import ID, NAME, api_object, model
from store.stores import Store

THINGS = model("things", api_object("Thing", [ID, NAME]))
NETWORKED = ("postgresql", "mariadb")
"""Their kinds, as their URLs begin."""


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[NetworkedDatabase]:
    """The database of a URL, with the system's tables."""
    database = open_database(url, options=DatabaseOptions(**options))
    assert isinstance(database, NetworkedDatabase)
    await database.start()
    try:
        await Schema(database).prepare()
        yield database
    finally:
        await database.close()


async def names(store: Store) -> dict[str, Any]:
    """The names of `THINGS` by their ids, which are below 100."""

    async def work(tx: Transaction) -> dict[str, Any]:
        rows = await store["Thing"].get_many(tx, [f"{n}" for n in range(100)])
        return {key: row["name"] for key, row in rows.items()}

    return await store.database.read(work)
