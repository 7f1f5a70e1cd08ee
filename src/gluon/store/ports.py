"""The ids of the ports of all Protons: no two ports have the same, whatever service they are of."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.store.database import Transaction
from gluon.store.statement import Statement, StatementCache, compile_statement, padded
from gluon.store.system_tables import ports

_CHUNK = 512
"""Most ids in one statement."""


class PortIds:
    """The one table of port ids. Port repositories keep it; others ask it whose a port is."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lookups = StatementCache()
        self._insert = compile_statement(sa.insert(ports), dialect)
        self._delete = compile_statement(sa.delete(ports).where(ports.c.id == sa.bindparam("id")), dialect)
        self._service = compile_statement(
            sa.select(ports.c.service).where(ports.c.id == sa.bindparam("id")), dialect
        )

    async def add(self, tx: Transaction, port_id: str, service: str) -> None:
        """Take an id for a port of a service; raises UniqueViolation when any port has it."""
        await tx.insert(self._insert, ({"id": port_id, "service": service},))

    async def remove(self, tx: Transaction, port_id: str) -> None:
        """Give an id back."""
        await tx.execute(self._delete, {"id": port_id})

    async def service_of(self, tx: Transaction, port_id: str) -> str | None:
        """The service that a port is of; None when there is no such port."""
        rows = await tx.fetch(self._service, {"id": port_id})
        return str(rows[0][0]) if rows else None

    async def services_of(self, tx: Transaction, port_ids: Sequence[str]) -> dict[str, str]:
        """The services that these ports are of; ids that no port has are missing from the answer."""
        found: dict[str, str] = {}
        for start in range(0, len(port_ids), _CHUNK):
            chunk = list(port_ids[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._lookups.get(count, lambda count=count: self._compile_lookup(count))  # type: ignore[misc]
            found.update((row[0], row[1]) for row in await tx.fetch(statement, tuple(chunk)))
        return found

    def _compile_lookup(self, count: int) -> Statement:
        binds: list[sa.BindParameter[str]] = [sa.bindparam(f"k{number}") for number in range(count)]
        chosen = sa.select(ports.c.id, ports.c.service).where(ports.c.id.in_(binds))
        return compile_statement(chosen, self._dialect)
