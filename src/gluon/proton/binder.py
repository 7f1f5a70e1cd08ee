"""Writes that may start a bind: they wait for the controller's answer before they answer themselves.

The wait is told of before the write, so that no answer can come unseen between the commit and the wait.
It holds no thread and no transaction. When the time is up the port says `binding_failed`; the answer, if
it comes later, still reaches the port. A dry run starts no bind: it answers with the port as it would be
committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from gluon.model.model import Role
from gluon.particle.tables import BindState
from gluon.proton.bind_waits import BindWaits
from gluon.proton.binding import FAILED
from gluon.proton.bodies import new_objects
from gluon.proton.errors import NotFound
from gluon.proton.operations import Operations, Target
from gluon.proton.pending_bind import PendingBind
from gluon.proton.port_bindings import BoundPort, PortBindings
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.settling import Settling
from gluon.proton.write_request import WriteRequest
from gluon.store.database import DatabaseError
from gluon.store.paging import Row

_log = logging.getLogger(__name__)


class _UnderWay(NamedTuple):
    """A bind that a request waits for, and the revision of its port in which it began."""

    revision: int
    bind: PendingBind


class Binder:
    """Creates, updates and deletes objects, and sees binds through that begin with it."""

    def __init__(
        self,
        operations: Operations,
        bindings: PortBindings,
        settling: Settling,
        waits: BindWaits,
        bind_timeout: float,
    ) -> None:
        self._operations = operations
        self._bindings = bindings
        self._settling = settling
        self._waits = waits
        self._bind_timeout = bind_timeout
        self._under_way: dict[str, _UnderWay] = {}
        """By port: the binds of active bindings."""
        self._inactive: dict[str, PendingBind] = {}
        """By bind_id: the binds of inactive ones."""

    async def create(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        bodies: Sequence[Any],
        parent_key: Any = None,
        bulk: bool = False,
    ) -> list[Row]:
        """Create one object, or several all or nothing; rows as they are once their binds are settled.

        Raises what `Operations.create` raises. Once that is done, nothing that happens to one of the ports
        takes the answer from the others.
        """
        new = new_objects(request.identity, hosted, bodies, parent_key, bulk)
        if request.dry_run:
            return await self._operations.create(request, proton, hosted, new, parent_key)
        bind_ids = [item.bind_id for item in new.items if item.bind_id is not None]
        with self._waits.expecting(bind_ids):
            rows = await self._operations.create(request, proton, hosted, new, parent_key)
            if not bind_ids:
                return rows
            return list(await asyncio.gather(*[self._created(hosted, row) for row in rows]))

    async def update(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, body: Any
    ) -> Row:
        """Change an object; the row as it is once a bind that the body asks for is settled.

        Raises what `Operations.update` raises, and NotFound when the port is deleted meanwhile.
        """
        bind_id = str(uuid4()) if hosted.role is Role.PORT else None
        if bind_id is None or request.dry_run:
            return await self._operations.update(request, proton, hosted, target, body, bind_id)
        with self._waits.expecting([bind_id]):
            row = await self._operations.update(request, proton, hosted, target, body, bind_id)
            self._supersede(target.key, row["revision_number"], row["bind_id"])
            if row["bind_id"] == bind_id:
                return await self._seen_through(hosted, row, self._settled(hosted, row))
        asks_for_bind = isinstance(body, Mapping) and body.get("host_id")
        return await self._seen_through(hosted, row, self._joined(hosted, row)) if asks_for_bind else row

    async def delete(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, cascade: bool
    ) -> None:
        """Delete an object; raises what `Operations.delete` raises."""
        await self._operations.delete(request, proton, hosted, target, cascade)
        if not request.dry_run and hosted.role is Role.PORT:
            self._over(target.key)

    async def add_binding(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, body: Any
    ) -> tuple[BoundPort, str]:
        """An inactive binding, once its bind is settled, and its host; raises what `PortBindings.add` raises.

        NotFound, when it is deleted meanwhile, as is its port.
        """
        bind_id = str(uuid4())
        with self._waits.expecting([bind_id]):
            port, host = await self._bindings.add(request, proton, hosted, target, body, bind_id)
            settled = self._settled_binding(request, proton, target, port, bind_id)
            return await _binding_seen_through(port, bind_id, settled), host

    async def change_binding(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        host: str,
        body: Any,
    ) -> BoundPort:
        """A port whose binding was changed, once a bind that begins with it is settled; raises what
        `PortBindings.change` raises.
        """
        bind_id = str(uuid4())
        with self._waits.expecting([bind_id]):
            port = await self._bindings.change(request, proton, hosted, target, host, body, bind_id)
            if port.row["bind_id"] == bind_id and not request.dry_run:
                self._supersede(target.key, port.revision, bind_id)
            settled = self._settled_binding(request, proton, target, port, bind_id)
            return await _binding_seen_through(port, bind_id, settled)

    async def activate_binding(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, host: str
    ) -> BoundPort:
        """A port whose binding on a host is active now; raises what `PortBindings.activate` raises."""
        port = await self._bindings.activate(request, proton, hosted, target, host)
        if not request.dry_run:
            self._supersede(target.key, port.revision, port.row["bind_id"])
        return port

    async def remove_binding(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, host: str
    ) -> None:
        """Delete a binding; raises what `PortBindings.remove` raises."""
        port = await self._bindings.remove(request, proton, hosted, target, host)
        if not request.dry_run:
            self._supersede(target.key, port.revision, port.row["bind_id"])
            self._end_inactive(target.key, {binding.bind_id for binding in port.inactive})

    def under_way(self) -> Collection[PendingBind]:
        """The binds that requests wait for here."""
        return [*(under_way.bind for under_way in self._under_way.values()), *self._inactive.values()]

    async def look_up(self, bind: PendingBind) -> None:
        """Tell the requests that wait for a bind what the database says of it.

        Another server may have stored its answer, or have bound, unbound or deleted the port. Raises
        DatabaseError.
        """
        found = await self._settling.find(bind.hosted, bind.port_id, bind.bind_id)
        if found is None or found["bind_state"] in (BindState.ANSWERED, BindState.REFUSED):
            self._waits.settle(bind.bind_id, found)

    async def give_up(self, bind: PendingBind) -> None:
        """Settle a bind that no request waits for any more. Raises DatabaseError."""
        with suppress(NotFound):
            await self._settling.give_up(bind.hosted, bind.port_id, bind.bind_id)

    async def _created(self, hosted: HostedObject, row: Row) -> Row:
        try:
            return await self._seen_through(hosted, row, self._settled(hosted, row))
        except NotFound:
            return row

    async def _seen_through(self, hosted: HostedObject, row: Row, bind: Awaitable[Row]) -> Row:
        """What became of a bind. The write that asked for it is done: nothing makes it look undone."""
        try:
            return await bind
        except DatabaseError as error:
            _log.error("port %s: how its bind ended can't be read: %s", row[hosted.api.key], error)
            return row | {"vif_type": FAILED} if row["bind_state"] == BindState.PENDING else row

    async def _joined(self, hosted: HostedObject, row: Row) -> Row:
        """The same bind was asked for before and may be under way: wait for its answer too."""
        if row["bind_state"] != BindState.PENDING:
            return row
        with self._waits.expecting([row["bind_id"]]):
            # Its answer may have come before this wait was told of.
            current = await self._settling.current(hosted, row[hosted.api.key])
            return await self._settled(hosted, current) if current["bind_id"] == row["bind_id"] else current

    async def _settled(self, hosted: HostedObject, row: Row) -> Row:
        if hosted.role is not Role.PORT or row["bind_state"] != BindState.PENDING:
            return row
        port_id, bind_id = row[hosted.api.key], row["bind_id"]
        self._under_way[port_id] = _UnderWay(row["revision_number"], PendingBind(hosted, port_id, bind_id))
        try:
            answered = await self._waits.answered(bind_id, self._bind_timeout)
        finally:
            under_way = self._under_way.get(port_id)
            if under_way is not None and under_way.bind.bind_id == bind_id:
                del self._under_way[port_id]
        if answered is not None and hosted.api.key in answered:
            return answered
        if self._waits.is_settled(bind_id):
            # In vain, or it is an inactive binding's by now: the port has something else to say.
            return await self._settling.current(hosted, port_id)
        try:
            return await self._settling.give_up(hosted, port_id, bind_id)
        except DatabaseError as error:
            # The write itself is done and stays; only that it wasn't answered can't be noted.
            _log.error("port %s: that its bind was not answered could not be stored: %s", port_id, error)
            return row | {"vif_type": FAILED}

    async def _settled_binding(
        self, request: WriteRequest, proton: Proton, target: Target, port: BoundPort, bind_id: str
    ) -> BoundPort:
        """A port one of whose bindings may have begun to be bound as `bind_id`, once that is settled."""
        if request.dry_run:
            return port
        if port.row["bind_id"] == bind_id:
            await self._settled(port.hosted, port.row)
            return await self._bindings.get(request.identity, proton, port.hosted, _anew(target))
        if not any(binding.bind_id == bind_id for binding in port.inactive):
            return port
        self._inactive[bind_id] = PendingBind(port.hosted, target.key, bind_id)
        try:
            answered = await self._waits.answered(bind_id, self._bind_timeout)
        finally:
            del self._inactive[bind_id]
        if answered is None:
            try:
                await self._settling.give_up(port.hosted, target.key, bind_id)
            except DatabaseError as error:
                _log.error("port %s: that a bind was not answered could not be stored: %s", target.key, error)
        return await self._bindings.get(request.identity, proton, port.hosted, _anew(target))

    def _over(self, port_id: str) -> None:
        """Whoever waits for a bind of a port that is gone waits in vain."""
        if port_id in self._under_way:
            self._waits.settle(self._under_way[port_id].bind.bind_id, None)
        self._end_inactive(port_id)

    def _end_inactive(self, port_id: str, still_there: Collection[str] = ()) -> None:
        for bind in self._inactive.values():
            if bind.port_id == port_id and bind.bind_id not in still_there:
                self._waits.settle(bind.bind_id, None)

    def _supersede(self, port_id: str, revision: int, bind_id: str | None) -> None:
        """Whoever waits for an earlier bind of the port waits in vain: let it answer with what is there."""
        under_way = self._under_way.get(port_id)
        if under_way is not None and under_way.bind.bind_id != bind_id and under_way.revision < revision:
            self._waits.settle(under_way.bind.bind_id, None)


async def _binding_seen_through(port: BoundPort, bind_id: str, settled: Awaitable[BoundPort]) -> BoundPort:
    """As `Binder._seen_through`: what was written stays said, whether or not it can be read again."""
    try:
        return await settled
    except DatabaseError as error:
        key = port.row[port.hosted.api.key]
        _log.error("port %s: how a bind of it ended can't be read: %s", key, error)
        return port.with_failed(bind_id)


def _anew(target: Target) -> Target:
    """The same object, at whatever revision it is by now."""
    return Target(target.key, target.parent_key)
