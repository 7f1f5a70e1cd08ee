"""The rows of a model's port object, with the answers to binds.

The states of a bind are those of `BindState`; NULL means that none was ever asked for. Every answer and
every end of a wait is one UPDATE that names the bind it is of, so any number of servers may try, and one
succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from gluon.model.model import Role
from gluon.particle.tables import BIND_ID, BIND_STATE, REVISION_NUMBER, UPDATED_AT, BindState
from gluon.store.bindings import Bindings
from gluon.store.database import Transaction
from gluon.store.paging import Row
from gluon.store.repository import ObjectRepository
from gluon.store.schema import AWAITS_ANSWER, ServiceSchema
from gluon.store.statement import Statement, compile_statement
from gluon.store.timestamps import utc_now

_IS_PENDING = f"('{BindState.PENDING}')"


class PortRepository(ObjectRepository):
    """A repository of ports, which also settles their binds. `bindings` are their inactive ones."""

    def __init__(self, schema: ServiceSchema, object_name: str, dialect: Dialect) -> None:
        super().__init__(schema, object_name, dialect)
        self.bindings = Bindings(schema.model.service, dialect)

    async def take_answer(
        self, tx: Transaction, port_id: str, bind_id: str, changes: Mapping[str, Any], state: BindState
    ) -> Row | None:
        """Store the answer to a bind if the port still has that bind_id and no answer.

        `changes` are attributes (vif_type, vif_details, status); `state` is ANSWERED or REFUSED. Returns
        the changed row, or None when the bind is over, or answered already.
        """
        return await self._settle(tx, AWAITS_ANSWER, port_id, bind_id, changes, state)

    async def time_out(
        self, tx: Transaction, port_id: str, bind_id: str, changes: Mapping[str, Any]
    ) -> Row | None:
        """Note that the time for a pending bind is over; a late answer will still be taken.

        Returns the row with these attributes changed, or None when that bind is not pending.
        """
        return await self._settle(tx, _IS_PENDING, port_id, bind_id, changes, BindState.TIMED_OUT)

    async def set_status(
        self, tx: Transaction, port_id: str, bind_id: str, before: str, after: str
    ) -> Row | None:
        """Change the status of a port that still has this bind, answered, and the status `before`.

        Returns the changed row, or None.
        """
        parameters = {"key": port_id, "bind_id": bind_id, "before": before, "after": after, "now": utc_now()}
        return await self.get(tx, port_id) if await tx.execute(self._set_status, parameters) else None

    async def answered_but_down(self, tx: Transaction) -> list[str]:
        """The ids of all ports whose bind is answered, and that wait for something else."""
        return [port_id for (port_id,) in await tx.fetch(self._answered_but_down)]

    async def unanswered(self, tx: Transaction) -> list[tuple[str, str]]:
        """Port id and bind_id of all binds that would still take an answer, timed out or not."""
        active = [(port_id, bind_id) for port_id, bind_id in await tx.fetch(self._unanswered)]
        return active + await self.bindings.unanswered(tx)

    async def pending(self, tx: Transaction) -> list[tuple[str, str]]:
        """Port id and bind_id of all binds that are neither answered nor timed out."""
        active = [(port_id, bind_id) for port_id, bind_id in await tx.fetch(self._pending)]
        return active + await self.bindings.pending(tx)

    async def _settle(
        self,
        tx: Transaction,
        allowed: str,
        port_id: str,
        bind_id: str,
        changes: Mapping[str, Any],
        state: BindState,
    ) -> Row | None:
        names = tuple(changes)
        statement = self._shapes.get(("settle", allowed, names), lambda: self._compile_settle(names, allowed))
        parameters = {f"c_{name}": value for name, value in changes.items()}
        parameters |= {"key": port_id, "bind_id": bind_id, "state": state.value, "now": utc_now()}
        return await self.get(tx, port_id) if await tx.execute(statement, parameters) else None

    def _compile_settle(self, names: Sequence[str], allowed: str) -> Statement:
        columns = self._stored.columns
        values: dict[Any, Any] = {columns[name]: sa.bindparam(f"c_{name}") for name in names}
        values[columns[BIND_STATE]] = sa.bindparam("state")
        values[columns[UPDATED_AT]] = sa.bindparam("now")
        values[columns[REVISION_NUMBER]] = columns[REVISION_NUMBER] + sa.literal_column("1")
        changed = sa.update(self._stored.table).values(values)
        return compile_statement(
            changed.where(
                self._stored.key == sa.bindparam("key"),
                columns[BIND_ID] == sa.bindparam("bind_id"),
                columns[BIND_STATE].op("IN")(sa.literal_column(allowed)),
            ),
            self._dialect,
        )

    @cached_property
    def _set_status(self) -> Statement:
        columns = self._stored.columns
        values: dict[Any, Any] = {
            columns["status"]: sa.bindparam("after"),
            columns[UPDATED_AT]: sa.bindparam("now"),
            columns[REVISION_NUMBER]: columns[REVISION_NUMBER] + sa.literal_column("1"),
        }
        changed = sa.update(self._stored.table).values(values)
        return compile_statement(
            changed.where(
                self._stored.key == sa.bindparam("key"),
                columns[BIND_ID] == sa.bindparam("bind_id"),
                columns[BIND_STATE] == sa.literal_column(f"'{BindState.ANSWERED}'"),
                columns["status"] == sa.bindparam("before"),
            ),
            self._dialect,
        )

    @cached_property
    def _answered_but_down(self) -> Statement:
        columns = self._stored.columns
        chosen = sa.select(self._stored.key).where(
            columns[BIND_STATE] == sa.literal_column(f"'{BindState.ANSWERED}'"),
            columns["status"] == sa.literal_column("'DOWN'"),
        )
        return compile_statement(chosen.order_by(self._stored.key), self._dialect)

    @cached_property
    def _unanswered(self) -> Statement:
        return self._compile_binds(AWAITS_ANSWER)

    @cached_property
    def _pending(self) -> Statement:
        return self._compile_binds(_IS_PENDING)

    def _compile_binds(self, states: str) -> Statement:
        state = self._stored.columns[BIND_STATE]
        chosen = sa.select(self._stored.key, self._stored.columns[BIND_ID])
        chosen = chosen.where(state.op("IN")(sa.literal_column(states))).order_by(self._stored.key)
        return compile_statement(chosen, self._dialect)


def repositories(schema: ServiceSchema, dialect: Dialect) -> Mapping[str, ObjectRepository]:
    """A repository for each object of a service, by name; of ports a PortRepository."""
    return {
        name: (PortRepository if api_object.role is Role.PORT else ObjectRepository)(schema, name, dialect)
        for name, api_object in schema.model.objects.items()
    }
