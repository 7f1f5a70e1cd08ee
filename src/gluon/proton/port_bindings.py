"""The bindings of a port: one is active, others are made ready on further hosts, for live migration.

The active one is the port's own `host_id`, `profile` and `vif_*`. A move goes like this: an inactive binding
is created on the destination, and its controller makes the port ready there → the virtual machine moves →
the binding is activated: it and the active one change places, in one transaction, and nothing is unbound →
the binding on the source is deleted, and unbound there. A move that fails ends with the deletion of the
binding on the destination.

All of it is a change of the port: who may update the port may do it, and the port's revision counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gluon.particle.tables import BindState
from gluon.particle.validators import InvalidBody
from gluon.proton.binding import FAILED, binding_changes
from gluon.proton.bodies import wrong_fields
from gluon.proton.change import BINDINGS, Change
from gluon.proton.controllers import NO_CONTROLLERS, ControllersByService
from gluon.proton.errors import Conflict, NotFound, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.operations import Operations, Target, refusals
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.write_request import WriteRequest
from gluon.store.bindings import InactiveBinding
from gluon.store.database import Database, Transaction
from gluon.store.paging import Row

MOST = 16
"""Inactive bindings that a port may have. A move needs one; each is a claim and an answer in etcd."""

_ATTRIBUTES = {"host": "host_id", "vnic_type": "vnic_type", "profile": "profile"}
"""What a body may give, and the attribute of the port that says what it may be."""


@dataclass(frozen=True, slots=True)
class BoundPort:
    """A port's row, and its inactive bindings."""

    hosted: HostedObject
    row: Row
    inactive: tuple[InactiveBinding, ...]

    @property
    def revision(self) -> int:
        """The port's, which all of its bindings share."""
        return int(self.row["revision_number"])

    @property
    def active(self) -> InactiveBinding | None:
        """What would be stored of the active binding if it were none; None when the port isn't bound."""
        row = self.row
        if row["bind_id"] is None:
            return None
        return InactiveBinding(
            row["host_id"],
            row["bind_id"],
            row["bind_state"],
            row["profile"],
            row["vif_type"],
            row["vif_details"],
        )

    def documents(self) -> list[dict[str, Any]]:
        """All bindings, the active one first."""
        active = [self._document(self.active, "ACTIVE")] if self.active is not None else []
        return active + [self._document(binding, "INACTIVE") for binding in self.inactive]

    def document(self, host: str) -> dict[str, Any]:
        """The binding on a host; raises NotFound."""
        for document in self.documents():
            if document["host"] == host:
                return document
        raise self.unknown(host)

    def on(self, host: str) -> InactiveBinding | None:
        """The inactive binding on a host, if there is one."""
        return next((binding for binding in self.inactive if binding.host == host), None)

    def is_active_on(self, host: str) -> bool:
        """Whether the active binding is on that host."""
        return self.active is not None and self.active.host == host

    def with_failed(self, bind_id: str) -> BoundPort:
        """What is known of it when a bind can't be followed any more that nobody had answered yet."""
        if self.row["bind_id"] == bind_id and self.row["bind_state"] == BindState.PENDING:
            return replace(self, row=self.row | {"vif_type": FAILED})
        inactive = tuple(
            replace(binding, vif_type=FAILED)
            if binding.bind_id == bind_id and binding.state == BindState.PENDING
            else binding
            for binding in self.inactive
        )
        return replace(self, inactive=inactive)

    def unknown(self, host: str) -> NotFound:
        """The error for a host on which there is no binding."""
        api = self.hosted.api
        return NotFound(f"{api.api_name} {self.row[api.key]!r} has no binding on host {host!r}")

    def _document(self, binding: InactiveBinding, status: str) -> dict[str, Any]:
        return {
            "host": binding.host,
            "status": status,
            "vnic_type": self.row.get("vnic_type"),
            "profile": binding.profile,
            "vif_type": binding.vif_type,
            "vif_details": binding.vif_details,
        }


class PortBindings:
    """Reads and changes the bindings of ports. It waits for no controller: see `gluon.proton.binder`."""

    def __init__(
        self, database: Database, operations: Operations, controllers: ControllersByService = NO_CONTROLLERS
    ) -> None:
        self._controllers = controllers
        self._database = database
        self._operations = operations

    async def get(
        self, identity: Identity, proton: Proton, hosted: HostedObject, target: Target
    ) -> BoundPort:
        """A port with its bindings; raises NotFound."""

        async def work(tx: Transaction) -> BoundPort:
            row = await self._operations.require(tx, identity, proton, hosted, target, "get")
            return await _read(tx, hosted, row)

        return await self._database.read(work)

    async def add(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        body: Any,
        bind_id: str,
    ) -> tuple[BoundPort, str]:
        """An inactive binding on the host that the body names, whose bind is `bind_id`; the host.

        Raises NotFound, Forbidden, PreconditionFailed, Unprocessable, and Conflict where there is one on that
        host already, where there are too many, and for a port that isn't bound.
        """
        given, wrong = _checked(hosted, body)
        host = given.get("host")
        if not host and not any(w.field == "host" for w in wrong):
            wrong.append(Wrong("host", "is required: the host to make the port ready on"))

        async def work(tx: Transaction, changes: list[Change]) -> BoundPort:
            port = await self._locked(tx, request, proton, hosted, target)
            problems = wrong + _other_vnic_type(port, given)
            if problems:
                raise Unprocessable(problems)
            assert host is not None
            if port.active is None:
                raise Conflict(
                    "the port is not bound, so there is nothing to move: bind it by its host_id and device_id"
                )
            if port.is_active_on(host) or port.on(host) is not None:
                raise Conflict(f"the port has a binding on host {host!r} already")
            if len(port.inactive) >= MOST:
                raise Conflict(f"the port has {MOST} inactive bindings, and may not have more: delete some")
            added = InactiveBinding(host, bind_id, BindState.PENDING, given.get("profile"))
            await hosted.ports.bindings.add(tx, target.key, added)
            return await _changed(tx, port, {}, changes)

        return await self._write(request, proton, hosted, target, work), host or ""

    async def change(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        host: str,
        body: Any,
        bind_id: str,
    ) -> BoundPort:
        """Change the profile of a binding; one that failed is tried once more, as `bind_id`, if the body
        names its host. Raises as `add` does.
        """
        given, wrong = _checked(hosted, body)
        if given.get("host", host) != host:
            wrong.append(Wrong("host", "is fixed: create a binding on the other host"))

        async def work(tx: Transaction, changes: list[Change]) -> BoundPort:
            port = await self._locked(tx, request, proton, hosted, target)
            if not port.is_active_on(host) and port.on(host) is None:
                raise port.unknown(host)
            problems = wrong + _other_vnic_type(port, given)
            if problems:
                raise Unprocessable(problems)
            if port.is_active_on(host):
                of_port = {_ATTRIBUTES[name]: given[name] for name in ("host", "profile") if name in given}
                attributes = {name: value for name, value in of_port.items() if value != port.row[name]}
                attributes |= binding_changes(port.row, of_port, bind_id)
                return await _changed(tx, port, attributes, changes, proton, request) if attributes else port
            before = port.on(host)
            assert before is not None
            after = replace(before, profile=given.get("profile", before.profile))
            if "host" in given and before.state in (BindState.TIMED_OUT, BindState.REFUSED):
                after = replace(
                    after, bind_id=bind_id, state=BindState.PENDING, vif_type=None, vif_details=None
                )
            if after == before:
                return port
            await hosted.ports.bindings.change(tx, target.key, after)
            return await _changed(tx, port, {}, changes)

        return await self._write(request, proton, hosted, target, work)

    async def activate(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, host: str
    ) -> BoundPort:
        """Have the inactive binding on a host and the active one change places.

        Raises NotFound, Forbidden, PreconditionFailed, and Conflict for one that is active already, or that
        no controller has bound.
        """

        async def work(tx: Transaction, changes: list[Change]) -> BoundPort:
            port = await self._locked(tx, request, proton, hosted, target)
            if port.is_active_on(host):
                raise Conflict(f"the binding on host {host!r} is the active one already")
            chosen = port.on(host)
            if chosen is None:
                raise port.unknown(host)
            if not chosen.is_bound:
                raise Conflict(
                    f"the binding on host {host!r} can't be activated: {_WHY_NOT[BindState(chosen.state)]}"
                )
            await hosted.ports.bindings.remove(tx, target.key, host)
            if port.active is not None:
                await hosted.ports.bindings.add(tx, target.key, port.active)
            attributes = {
                "host_id": host,
                "profile": chosen.profile,
                "vif_type": chosen.vif_type,
                "vif_details": chosen.vif_details,
                # The controllers that must take part have yet to hear of it.
                "status": "DOWN" if self._controllers.required(hosted.model.service) else "ACTIVE",
                "bind_id": chosen.bind_id,
                "bind_state": chosen.state,
            }
            return await _changed(tx, port, attributes, changes, proton, request, ended=(host,))

        return await self._write(request, proton, hosted, target, work)

    async def remove(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, host: str
    ) -> BoundPort:
        """Delete a binding, which unbinds that host only; the active one: the port is bound nowhere then, but
        keeps its inactive ones. Raises NotFound, Forbidden, PreconditionFailed.
        """

        async def work(tx: Transaction, changes: list[Change]) -> BoundPort:
            port = await self._locked(tx, request, proton, hosted, target)
            if port.is_active_on(host):
                unbound: dict[str, Any] = {"host_id": None}
                unbound |= binding_changes(port.row, unbound, None)
                return await _changed(tx, port, unbound, changes, proton, request)
            if port.on(host) is None:
                raise port.unknown(host)
            await hosted.ports.bindings.remove(tx, target.key, host)
            return await _changed(tx, port, {}, changes, ended=(host,))

        return await self._write(request, proton, hosted, target, work)

    async def _locked(
        self, tx: Transaction, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target
    ) -> BoundPort:
        row = await self._operations.require(tx, request.identity, proton, hosted, target, "update")
        return await _read(tx, hosted, row)

    async def _write(
        self, request: WriteRequest, proton: Proton, hosted: HostedObject, target: Target, work: Any
    ) -> BoundPort:
        with self._operations.noting_refusal(request, "update", hosted, target.key):
            done: BoundPort = await self._operations.carry_out(request, proton, work)
            return done


_WHY_NOT: Mapping[BindState, str] = {
    BindState.PENDING: "no controller has bound it yet",
    BindState.TIMED_OUT: "no controller has bound it",
    BindState.REFUSED: "its controller has refused it; the port's status says why",
}


async def _read(tx: Transaction, hosted: HostedObject, row: Row) -> BoundPort:
    return BoundPort(hosted, row, await hosted.ports.bindings.of_port(tx, row[hosted.api.key]))


async def _changed(
    tx: Transaction,
    port: BoundPort,
    attributes: dict[str, Any],
    changes: list[Change],
    proton: Proton | None = None,
    request: WriteRequest | None = None,
    *,
    ended: Sequence[str] = (),
) -> BoundPort:
    """Store what changes of the port itself, and count its revision up in any case."""
    hosted, key = port.hosted, port.row[port.hosted.api.key]
    if attributes and proton is not None and proton.manager is not None and request is not None:
        with refusals():
            proton.manager.before_update(request.identity, hosted.api.name, port.row, attributes)
    row = await hosted.repository.update(tx, key, attributes)
    assert row is not None, "its row is locked"
    changes.append(Change(hosted, port.row, row, also=BINDINGS, ended=tuple(ended)))
    return await _read(tx, hosted, row)


def _checked(hosted: HostedObject, body: Any) -> tuple[dict[str, Any], list[Wrong]]:
    """What a body gives, and what is wrong with it by the model alone."""
    if not isinstance(body, Mapping):
        return {}, [Wrong("", "must be a JSON object")]
    wrong = [
        Wrong(str(name), f"unknown attribute; a binding has {', '.join(_ATTRIBUTES)}")
        for name in body
        if name not in _ATTRIBUTES
    ]
    names = {_ATTRIBUTES[name]: name for name in body if name in _ATTRIBUTES}
    try:
        valid = hosted.validator.update({attribute: body[name] for attribute, name in names.items()})
    except InvalidBody as error:
        return {}, wrong + [Wrong(names.get(w.field, w.field), w.message) for w in wrong_fields(error)]
    return {names[attribute]: value for attribute, value in valid.items()}, wrong


def _other_vnic_type(port: BoundPort, given: Mapping[str, Any]) -> list[Wrong]:
    own = port.row.get("vnic_type")
    if given.get("vnic_type", own) in (own, None):
        return []
    return [Wrong("vnic_type", f"all bindings of a port have the port's own, which is {own!r}")]
