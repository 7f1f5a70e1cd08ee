"""A model's tables in a database, with all that works on them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gluon.model.model import Model
from gluon.store.database import Database, Transaction
from gluon.store.port_repository import PortRepository, repositories
from gluon.store.repository import ObjectRepository
from gluon.store.schema import Schema, ServiceSchema

TENANT_ID = "a868a466-bca8-4df1-8404-a77db0ecac72"


class Undo(Exception):
    """Ends a work whose changes a test does not want to keep."""


@dataclass(frozen=True)
class Store:
    database: Database
    schema: ServiceSchema
    repositories: Mapping[str, ObjectRepository]

    def __getitem__(self, name: str) -> ObjectRepository:
        return self.repositories[name]

    @property
    def ports(self) -> PortRepository:
        found = self.repositories["Port"]
        assert isinstance(found, PortRepository)
        return found

    async def insert(self, name: str, /, **values: Any) -> dict[str, Any]:
        if "tenant_id" in self[name].object.attributes:
            values = {"tenant_id": TENANT_ID, **values}
        return await self.database.write(lambda tx: self[name].insert(tx, values))

    async def undone(self, work: Callable[[Transaction], Coroutine[Any, Any, None]]) -> None:
        """Run a work to its end, then undo all that it wrote."""

        async def and_back(tx: Transaction) -> None:
            await work(tx)
            raise Undo

        with suppress(Undo):
            await self.database.write(and_back)


async def open_store(database: Database, model: Model) -> Store:
    schema = await Schema(database).install(model)
    return Store(database, schema, repositories(schema, database.dialect))
