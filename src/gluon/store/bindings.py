"""The inactive bindings of ports: where else a port is being made ready while it is used on its own host.

A port's row holds its one active binding; these are the others, for live migration. Whoever changes a row
here has locked the port's row before: what is read here after that stays so until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.particle.tables import BindState
from gluon.store.database import Transaction, UniqueViolation
from gluon.store.schema import AWAITS_ANSWER
from gluon.store.statement import Statement, StatementCache, compile_statement, padded
from gluon.store.system_tables import bindings

_CHUNK = 512
"""Most ports in one statement."""


@dataclass(frozen=True, slots=True)
class InactiveBinding:
    """A binding of a port that is not the active one. `state` is one of BindState's values."""

    host: str
    bind_id: str
    state: str
    profile: str | None = None
    vif_type: str | None = None
    vif_details: str | None = None
    """As JSON text."""

    @property
    def is_bound(self) -> bool:
        """Whether a controller has made the port ready there."""
        return self.state == BindState.ANSWERED


_SHOWN = ("host", "bind_id", "bind_state", "profile", "vif_type", "vif_details")


class Bindings:
    """All statements on the inactive bindings of one service's ports."""

    def __init__(self, service: str, dialect: Dialect) -> None:
        self._service = service
        self._dialect = dialect
        self._lookups = StatementCache()
        columns = [bindings.c[name] for name in _SHOWN]
        of_port = bindings.c.port_id == sa.bindparam("port_id")
        on_host = bindings.c.host == sa.bindparam("host")
        self._of_port = compile_statement(
            sa.select(*columns).where(of_port).order_by(bindings.c.host), dialect
        )
        self._insert = compile_statement(sa.insert(bindings), dialect)
        self._delete = compile_statement(sa.delete(bindings).where(of_port, on_host), dialect)
        self._delete_all = compile_statement(sa.delete(bindings).where(of_port), dialect)
        changed: dict[str, sa.BindParameter[str]] = {
            name: sa.bindparam(f"c_{name}") for name in _SHOWN if name != "host"
        }
        self._update = compile_statement(sa.update(bindings).where(of_port, on_host).values(changed), dialect)
        self._unanswered = self._in_states(AWAITS_ANSWER)
        self._pending = self._in_states(f"('{BindState.PENDING}')")

    async def of_port(self, tx: Transaction, port_id: str) -> tuple[InactiveBinding, ...]:
        """Those of one port, by host."""
        rows = await tx.fetch(self._of_port, {"port_id": port_id})
        return tuple(InactiveBinding(*row) for row in rows)

    async def of_ports(
        self, tx: Transaction, port_ids: Sequence[str]
    ) -> dict[str, tuple[InactiveBinding, ...]]:
        """Those of several ports, by port; ports without any are missing."""
        found: dict[str, tuple[InactiveBinding, ...]] = {}
        for start in range(0, len(port_ids), _CHUNK):
            chunk = list(port_ids[start : start + _CHUNK])
            count = padded(len(chunk))
            chunk += [chunk[-1]] * (count - len(chunk))
            statement = self._lookups.get(count, lambda count=count: self._compile_lookup(count))  # type: ignore[misc]
            for port_id, *row in await tx.fetch(statement, tuple(chunk)):
                found[port_id] = (*found.get(port_id, ()), InactiveBinding(*row))
        return found

    async def add(self, tx: Transaction, port_id: str, binding: InactiveBinding) -> None:
        """Raises UniqueViolation when the port has one on that host."""
        values = {"port_id": port_id, "service": self._service, **_values(binding), "host": binding.host}
        try:
            await tx.execute(self._insert, values)
        except UniqueViolation as error:
            raise UniqueViolation(f"the port has a binding on host {binding.host!r} already") from error

    async def change(self, tx: Transaction, port_id: str, binding: InactiveBinding) -> None:
        """Replace what is stored of a port's binding on that host."""
        values = {f"c_{name}": value for name, value in _values(binding).items()}
        await tx.execute(self._update, {**values, "port_id": port_id, "host": binding.host})

    async def remove(self, tx: Transaction, port_id: str, host: str) -> None:
        """Remove a port's binding on a host."""
        await tx.execute(self._delete, {"port_id": port_id, "host": host})

    async def remove_all(self, tx: Transaction, port_id: str) -> tuple[InactiveBinding, ...]:
        """Remove all of a port; what they were."""
        removed = await self.of_port(tx, port_id)
        if removed:
            await tx.execute(self._delete_all, {"port_id": port_id})
        return removed

    async def unanswered(self, tx: Transaction) -> list[tuple[str, str]]:
        """Port id and bind_id of all that would still take an answer, timed out or not."""
        return [(port, bind) for port, bind in await tx.fetch(self._unanswered, {"service": self._service})]

    async def pending(self, tx: Transaction) -> list[tuple[str, str]]:
        """Port id and bind_id of all that are neither answered nor timed out."""
        return [(port, bind) for port, bind in await tx.fetch(self._pending, {"service": self._service})]

    def _in_states(self, states: str) -> Statement:
        chosen = sa.select(bindings.c.port_id, bindings.c.bind_id).where(
            bindings.c.bind_state.op("IN")(sa.literal_column(states)),
            bindings.c.service == sa.bindparam("service"),
        )
        return compile_statement(chosen.order_by(bindings.c.port_id, bindings.c.host), self._dialect)

    def _compile_lookup(self, count: int) -> Statement:
        binds: list[sa.BindParameter[str]] = [sa.bindparam(f"k{number}") for number in range(count)]
        columns = [bindings.c[name] for name in _SHOWN]
        chosen = sa.select(bindings.c.port_id, *columns).where(bindings.c.port_id.in_(binds))
        return compile_statement(chosen.order_by(bindings.c.port_id, bindings.c.host), self._dialect)


def _values(binding: InactiveBinding) -> dict[str, str | None]:
    return {
        "bind_id": binding.bind_id,
        "bind_state": str(binding.state),
        "profile": binding.profile,
        "vif_type": binding.vif_type,
        "vif_details": binding.vif_details,
    }
