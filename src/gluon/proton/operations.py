"""What may be done to objects: create, update, delete, and what becomes of binds.

A write is validated, then one transaction looks up what it refers to, asks the access rules about the
stored object, and changes the rows; the door sees to what follows from it. What a transaction's work
does must not touch the event loop: some databases run it in a thread of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from gluon.model.model import Role
from gluon.particle.validators import InvalidBody
from gluon.proton.audit import AuditLog
from gluon.proton.binding import binding_changes, ends_all_bindings
from gluon.proton.bodies import (
    ERRORS_SHOWN,
    NewObject,
    NewObjects,
    differs,
    fixed_fields,
    sound_references,
    wrong_fields,
)
from gluon.proton.change import BINDINGS, Change
from gluon.proton.door import Door, Work
from gluon.proton.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.interfaces import default_interface
from gluon.proton.managers import Refused
from gluon.proton.references import missing_references
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.removal import Removal
from gluon.proton.write_request import WriteRequest
from gluon.store.database import Database, Transaction, UniqueViolation
from gluon.store.paging import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Precondition:
    """What If-Match asks for: one of these revisions, or with `any_revision` just that the object exists."""

    revisions: frozenset[int] = frozenset()
    any_revision: bool = False

    def check(self, row: Mapping[str, Any]) -> None:
        """Raises PreconditionFailed when the row is at another revision."""
        if not self.any_revision and row["revision_number"] not in self.revisions:
            raise PreconditionFailed(f"the object is at revision {row['revision_number']}")


@dataclass(frozen=True, slots=True)
class Target:
    """An object in a path: which one, below which parent, and at which revision the caller wants it."""

    key: Any
    parent_key: Any = None
    precondition: Precondition | None = None


class Operations:
    """Create, update and delete for the objects of every Proton."""

    def __init__(self, database: Database, door: Door, audit: AuditLog) -> None:
        self._database = database
        self._door = door
        self._audit = audit
        self._removal = Removal()

    # -- create ---------------------------------------------------------------------------------------

    async def create(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        new: NewObjects,
        parent_key: Any = None,
    ) -> list[Row]:
        """Create objects, all or nothing; the stored rows in the same order.

        Where something is wrong with them already nothing is created, but references are looked up all the
        same, so that the caller learns of everything at once. Raises Unprocessable, Forbidden, Conflict, and
        NotFound where the parent isn't there.
        """
        identity = request.identity

        async def work(tx: Transaction, changes: list[Change]) -> list[Row]:
            if parent_key is not None:
                await self.require_parent(tx, identity, proton, hosted, parent_key)
            wrong = list(new.wrong)
            rows: list[Row] = []
            bodies = [dict(item.values) for item in new.items]
            if proton.manager is not None and not wrong:
                for item, values in zip(new.items, bodies, strict=True):
                    with refusals(item):
                        proton.manager.before_create(identity, hosted.api.name, values)
            together = frozenset(values.get(hosted.api.key) for values in bodies)
            for item, values in zip(new.items, bodies, strict=True):
                missing = await missing_references(tx, identity, proton, hosted, values, together)
                wrong += item.located(missing)
                if len(wrong) >= ERRORS_SHOWN:
                    break
                if not wrong:
                    rows.append(await _insert(tx, identity, proton, hosted, values, item.bind_id, changes))
            if wrong:
                raise Unprocessable(wrong[:ERRORS_SHOWN])
            return rows

        key = new.items[0].values.get(hosted.api.key) if len(new.items) == 1 else None
        with self.noting_refusal(request, "create", hosted, key):
            return await self.carry_out(request, proton, work)

    # -- update ---------------------------------------------------------------------------------------

    async def update(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        body: Any,
        bind_id: str | None = None,
    ) -> Row:
        """Change what the body gives and nothing else; the stored row, which may start a bind as `bind_id`.

        A body that changes nothing leaves the revision as it is. Raises NotFound, Forbidden,
        PreconditionFailed, Unprocessable, Conflict.
        """
        identity = request.identity
        wrong: list[Wrong] = []
        try:
            given = hosted.validator.update(body)
        except InvalidBody as error:
            wrong, given = wrong_fields(error), sound_references(hosted, body, error)

        async def work(tx: Transaction, written: list[Change]) -> Row:
            stored = await self.require(tx, identity, proton, hosted, target, "update")
            changes = {n: v for n, v in given.items() if differs(v, stored[n])}
            problems = wrong + fixed_fields(identity, hosted, stored, changes)
            if hosted.role is Role.PORT and not problems:
                changes |= binding_changes(stored, given, bind_id)
            if proton.manager is not None and changes and not problems:
                with refusals():
                    proton.manager.before_update(identity, hosted.api.name, stored, changes)
            problems += await missing_references(tx, identity, proton, hosted, changes)
            if problems:
                raise Unprocessable(problems)
            ended = await _end_bindings(tx, hosted, stored, given, changes)
            if not changes and not ended:
                return stored
            if not proton.authorizer.may(identity, "update", hosted.api, {**stored, **changes}):
                raise Forbidden("the access rules don't let you give the object away like this")
            with _taken(hosted, target.key):
                row = await hosted.repository.update(tx, target.key, changes)
            assert row is not None, "the row was read in this transaction"
            written.append(Change(hosted, stored, row, also=BINDINGS if ended else (), ended=ended))
            return row

        with self.noting_refusal(request, "update", hosted, target.key):
            return await self.carry_out(request, proton, work)

    # -- delete ---------------------------------------------------------------------------------------

    async def delete(
        self,
        request: WriteRequest,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        cascade: bool = False,
    ) -> None:
        """Delete an object, with `cascade` also all that refers to it.

        Raises NotFound, Forbidden, PreconditionFailed, and Conflict with the objects in the way.
        """
        identity = request.identity

        async def work(tx: Transaction, changes: list[Change]) -> None:
            stored = await self.require(tx, identity, proton, hosted, target, "delete")
            changes += await self._removal.remove(tx, identity, proton, hosted, stored, cascade)

        with self.noting_refusal(request, "delete", hosted, target.key):
            await self.carry_out(request, proton, work)

    # -- what all of them need ------------------------------------------------------------------------

    async def require(
        self,
        tx: Transaction,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        action: str,
    ) -> Row:
        """The stored object that a path names, if the caller may do `action` to it.

        Raises NotFound (also where the caller may not even see it), Forbidden, PreconditionFailed.
        """
        if target.parent_key is not None:
            await self.require_parent(tx, identity, proton, hosted, target.parent_key)
        row = await hosted.repository.get(tx, target.key, lock=action != "get")
        if row is not None and target.parent_key is not None:
            assert hosted.api.parent_key is not None
            if row[hosted.api.parent_key] != target.parent_key:
                row = None
        if row is None or not proton.authorizer.may(identity, "get", hosted.api, row):
            raise NotFound(f"there is no {hosted.api.api_name} {target.key!r}")
        if action != "get" and not proton.authorizer.may(identity, action, hosted.api, row):
            raise Forbidden(f"the access rules don't let you {action} this {hosted.api.api_name}")
        if target.precondition is not None:
            target.precondition.check(row)
        return row

    async def require_parent(
        self, tx: Transaction, identity: Identity, proton: Proton, hosted: HostedObject, parent_key: Any
    ) -> None:
        """Raises NotFound unless the parent that a path names is there for the caller to see."""
        assert hosted.api.parent is not None
        parent = proton.objects[hosted.api.parent]
        await self.require(tx, identity, proton, parent, Target(parent_key), "get")

    async def carry_out(self, request: WriteRequest, proton: Proton, work: Work[T]) -> T:
        """Have a transaction do the work, or only try it for a dry run; raises what the work raises."""
        if request.dry_run:
            return await self._door.rehearse(proton, work)
        return await self._door.write(request.author, work)

    @contextmanager
    def noting_refusal(
        self, request: WriteRequest, action: str, hosted: HostedObject, key: Any
    ) -> Iterator[None]:
        """Have the audit note it when access rules refuse what is done within."""
        try:
            yield
        except Forbidden:
            if not request.dry_run:
                self._audit.refused(request.author, action, hosted, key)
            raise


async def _insert(
    tx: Transaction,
    identity: Identity,
    proton: Proton,
    hosted: HostedObject,
    values: Row,
    bind_id: str | None,
    changes: list[Change],
) -> Row:
    if not proton.authorizer.may(identity, "create", hosted.api, values):
        raise Forbidden(f"the access rules don't let you create this {hosted.api.api_name}")
    key = values[hosted.api.key]
    if hosted.role is Role.PORT:
        values.update({"bind_id": None, "bind_state": None})
        if bind_id is not None:
            values.update(binding_changes(None, values, bind_id))
    with _taken(hosted, key):
        row = await hosted.repository.insert(tx, values)
    changes.append(Change(hosted, None, row))
    if hosted.role is Role.PORT:
        assert proton.model.interface is not None
        interface = proton.objects[proton.model.interface.name]
        with _taken(interface, key):
            default = await interface.repository.insert(tx, default_interface(interface, key, row))
        changes.append(Change(interface, None, default))
    return row


async def _end_bindings(
    tx: Transaction, hosted: HostedObject, stored: Row, given: Row, changes: Row
) -> tuple[str, ...]:
    """Remove the inactive bindings that a write of a port ends; their hosts.

    Who unbinds the port unbinds all of it; who binds it on a host where it has an inactive one gets a bind
    of his own there.
    """
    if hosted.role is not Role.PORT:
        return ()
    bindings, key = hosted.ports.bindings, stored[hosted.api.key]
    if ends_all_bindings(given, changes):
        return tuple(binding.host for binding in await bindings.remove_all(tx, key))
    if "bind_id" not in changes:
        return ()
    host = changes.get("host_id", stored["host_id"])
    ended = tuple(b.host for b in await bindings.of_port(tx, key) if b.host == host)
    for host in ended:
        await bindings.remove(tx, key, host)
    return ended


@contextmanager
def refusals(item: NewObject | None = None) -> Iterator[None]:
    """What a service's manager refuses within is raised as Unprocessable."""
    try:
        yield
    except Refused as error:
        wrong = [Wrong(field, message) for field, message in error.errors.items()]
        raise Unprocessable(wrong if item is None else item.located(wrong)) from error


@contextmanager
def _taken(hosted: HostedObject, key: Any) -> Iterator[None]:
    try:
        yield
    except UniqueViolation as error:
        raise Conflict(f"{hosted.api.api_name} {key!r}: {error}") from error
