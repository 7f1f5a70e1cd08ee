"""Writes that may start a bind: they wait for the controller's answer before they answer themselves.

The wait is told of before the write, so that no answer can come unseen between the commit and the wait.
It holds no thread and no transaction. When the time is up the port says `binding_failed`; the answer, if
it comes later, still reaches the port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from gluon.model.model import Role
from gluon.proton.answers import BindWaits
from gluon.proton.binding import BindState
from gluon.proton.identity import Identity
from gluon.proton.operations import Operations, Row, Target
from gluon.proton.registry import HostedObject, Proton


class Binder:
    """Creates, updates and deletes objects, and sees binds through that begin with it."""

    def __init__(self, operations: Operations, waits: BindWaits, bind_timeout: float) -> None:
        self._operations = operations
        self._waits = waits
        self._bind_timeout = bind_timeout
        self._under_way: dict[str, str] = {}

    async def create(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        bodies: Sequence[Any],
        parent_key: Any = None,
        bulk: bool = False,
    ) -> list[Row]:
        """Create one object, or several all or nothing; rows as they are once their binds are settled.

        Raises what `Operations.create` raises.
        """
        new, wrong = self._operations.validated(identity, proton, hosted, bodies, parent_key, bulk)
        bind_ids = [item.bind_id for item in new if item.bind_id is not None]
        with self._waits.expecting(bind_ids):
            rows = await self._operations.create(identity, proton, hosted, new, wrong, parent_key)
            return list(await asyncio.gather(*[self._settled(hosted, row) for row in rows]))

    async def update(
        self, identity: Identity, proton: Proton, hosted: HostedObject, target: Target, body: Any
    ) -> Row:
        """Change an object; the row as it is once a bind that begins with it is settled.

        Raises what `Operations.update` raises.
        """
        if hosted.role is not Role.PORT:
            return await self._operations.update(identity, proton, hosted, target, body)
        bind_id = str(uuid4())
        with self._waits.expecting([bind_id]):
            row = await self._operations.update(identity, proton, hosted, target, body, bind_id)
            self._supersede(target.key, row["bind_id"])
            # Another bind of the port may be under way; only the one that this write began is waited for.
            return await self._settled(hosted, row) if row["bind_id"] == bind_id else row

    async def delete(
        self, identity: Identity, proton: Proton, hosted: HostedObject, target: Target, cascade: bool
    ) -> None:
        """Delete an object; raises what `Operations.delete` raises."""
        await self._operations.delete(identity, proton, hosted, target, cascade)
        self._supersede(target.key, None)

    async def _settled(self, hosted: HostedObject, row: Row) -> Row:
        if hosted.role is not Role.PORT or row["bind_state"] != BindState.PENDING:
            return row
        port_id, bind_id = row[hosted.api.key], row["bind_id"]
        self._under_way[port_id] = bind_id
        try:
            answered = await self._waits.answered(bind_id, self._bind_timeout)
        finally:
            if self._under_way.get(port_id) == bind_id:
                del self._under_way[port_id]
        return answered or await self._operations.give_up(hosted, port_id, bind_id)

    def _supersede(self, port_id: str, bind_id: str | None) -> None:
        """Whoever waits for another bind of the port waits in vain: let it answer with what is there."""
        under_way = self._under_way.get(port_id)
        if under_way is not None and under_way != bind_id:
            self._waits.settle(under_way, None)
