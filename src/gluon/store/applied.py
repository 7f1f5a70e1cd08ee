"""The models that the database's tables were made for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.model.model import Model
from gluon.store.database import Transaction
from gluon.store.statement import compile_statement
from gluon.store.system_tables import applied_models
from gluon.store.timestamps import utc_now


@dataclass(frozen=True, slots=True)
class AppliedModel:
    """A model as it was when its tables were made."""

    service: str
    version: str
    digest: str
    document: Mapping[str, Any]
    applied_at: str


class AppliedModels:
    """Reads and writes the record of applied models."""

    def __init__(self, dialect: Dialect) -> None:
        table = applied_models
        columns = (table.c.service, table.c.version, table.c.digest, table.c.document, table.c.applied_at)
        order = (table.c.applied_at, table.c.service, table.c.version)
        self._all = compile_statement(sa.select(*columns).order_by(*order), dialect)
        self._of = compile_statement(
            sa.select(*columns).where(table.c.service == sa.bindparam("service")).order_by(*order), dialect
        )
        self._insert = compile_statement(sa.insert(table), dialect)

    async def all(self, tx: Transaction) -> list[AppliedModel]:
        """Every applied model, in the order in which they were."""
        return [_from_row(row) for row in await tx.fetch(self._all)]

    async def of(self, tx: Transaction, service: str) -> list[AppliedModel]:
        """The applied models of a service, the latest last."""
        return [_from_row(row) for row in await tx.fetch(self._of, {"service": service})]

    async def record(self, tx: Transaction, model: Model) -> None:
        """Note that the tables for a model are there; in the transaction that makes them."""
        await tx.execute(
            self._insert,
            {
                "service": model.service,
                "version": model.version,
                "digest": model.digest,
                # Not sorted: the order of objects and attributes is part of the document.
                "document": json.dumps(model.document, ensure_ascii=False, separators=(",", ":")),
                "applied_at": utc_now(),
            },
        )


def _from_row(row: tuple[Any, ...]) -> AppliedModel:
    service, version, digest, document, applied_at = row
    return AppliedModel(service, version, digest, json.loads(document), applied_at)
