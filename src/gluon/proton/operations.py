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

from gluon.log.request_ids import current_request_id
from gluon.model.model import Role
from gluon.particle.validators import InvalidBody
from gluon.proton.answer import Answer, MalformedAnswer
from gluon.proton.audit import AuditLog
from gluon.proton.binding import FAILED, binding_changes
from gluon.proton.bodies import (
    ERRORS_SHOWN,
    NewObject,
    NewObjects,
    differs,
    fixed_fields,
    sound_references,
    wrong_fields,
)
from gluon.proton.change import Change
from gluon.proton.door import Door, Work
from gluon.proton.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.interfaces import default_interface
from gluon.proton.managers import Refused
from gluon.proton.references import missing_references
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.removal import Removal
from gluon.proton.write_request import Author, WriteRequest
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
                    with _refusals(item):
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
        with self._noting_refusal(request, "create", hosted, key):
            return await self._do(request, proton, work)

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
                with _refusals():
                    proton.manager.before_update(identity, hosted.api.name, stored, changes)
            problems += await missing_references(tx, identity, proton, hosted, changes)
            if problems:
                raise Unprocessable(problems)
            if not changes:
                return stored
            if not proton.authorizer.may(identity, "update", hosted.api, {**stored, **changes}):
                raise Forbidden("the access rules don't let you give the object away like this")
            with _taken(hosted, target.key):
                row = await hosted.repository.update(tx, target.key, changes)
            assert row is not None, "the row was read in this transaction"
            written.append(Change(hosted, stored, row))
            return row

        with self._noting_refusal(request, "update", hosted, target.key):
            return await self._do(request, proton, work)

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

        with self._noting_refusal(request, "delete", hosted, target.key):
            await self._do(request, proton, work)

    # -- binding --------------------------------------------------------------------------------------

    async def take_answer(self, hosted: HostedObject, port_id: str, answer: Answer) -> Row | None:
        """Store a controller's answer to a bind; the answered port, or None if the bind is another by now.

        One UPDATE with that condition decides, so any number of servers may try: the row is the same for the
        one that stored the answer and for those that came later. Raises MalformedAnswer.
        """
        limit = hosted.api.attributes["vif_type"].length
        if limit is not None and len(answer.vif_type) > limit:
            raise MalformedAnswer(f"vif_type is longer than the model's {limit} characters")

        async def work(tx: Transaction, changes: list[Change]) -> Row | None:
            row = await hosted.ports.take_answer(tx, port_id, answer.bind_id, answer.changes, answer.state)
            if row is not None:
                changes.append(Change.settled(hosted, row, answer.changes))
                return row
            current = await hosted.repository.get(tx, port_id)
            return current if current is not None and current["bind_id"] == answer.bind_id else None

        return await self._door.write(Author.controller(answer.controller), work)

    async def give_up(self, hosted: HostedObject, port_id: str, bind_id: str) -> Row:
        """Say in the port that nobody answered its bind in time; the row as it is then.

        An answer that came first stays, and one that comes later is still taken. Raises NotFound when the
        port was deleted meanwhile.
        """
        given = {"vif_type": FAILED}

        async def work(tx: Transaction, changes: list[Change]) -> Row:
            row = await hosted.ports.time_out(tx, port_id, bind_id, given)
            if row is not None:
                changes.append(Change.settled(hosted, row, given))
            else:
                row = await hosted.repository.get(tx, port_id)
            if row is None:
                raise NotFound(f"{hosted.api.api_name} {port_id!r} was deleted while it was being bound")
            return row

        return await self._door.write(Author.server(current_request_id()), work)

    async def current(self, hosted: HostedObject, key: Any) -> Row:
        """The row as it is now, whoever asks; raises NotFound."""

        async def work(tx: Transaction) -> Row:
            row = await hosted.repository.get(tx, key)
            if row is None:
                raise NotFound(f"{hosted.api.api_name} {key!r} was deleted meanwhile")
            return row

        return await self._database.read(work)

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

    async def _do(self, request: WriteRequest, proton: Proton, work: Work[T]) -> T:
        if request.dry_run:
            return await self._door.rehearse(proton, work)
        return await self._door.write(request.author, work)

    @contextmanager
    def _noting_refusal(
        self, request: WriteRequest, action: str, hosted: HostedObject, key: Any
    ) -> Iterator[None]:
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


@contextmanager
def _refusals(item: NewObject | None = None) -> Iterator[None]:
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
