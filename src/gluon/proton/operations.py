"""The one door for writes: every change of an object goes through here.

A write is validated, then one transaction looks up what it refers to, asks the access rules about the
stored object, changes the rows, and puts the etcd entries that follow from it into the outbox. What a
transaction's work does must not touch the event loop: some databases run it in a thread of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gluon.model.model import Role
from gluon.particle.validators import InvalidBody
from gluon.proton.answer import Answer, MalformedAnswer
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
from gluon.proton.documents import Entry, EtcdDocuments
from gluon.proton.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.interfaces import default_interface
from gluon.proton.managers import Refused
from gluon.proton.references import missing_references
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.removal import Removal
from gluon.store.database import Database, Transaction, UniqueViolation
from gluon.store.outbox import Outbox
from gluon.store.paging import Row


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

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        documents: EtcdDocuments,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._documents = documents
        self._removal = Removal(documents)

    # -- create ---------------------------------------------------------------------------------------

    async def create(
        self,
        identity: Identity,
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

        async def work(tx: Transaction) -> list[Row]:
            if parent_key is not None:
                await self.require_parent(tx, identity, proton, hosted, parent_key)
            wrong = list(new.wrong)
            rows: list[Row] = []
            entries: list[Entry] = []
            together = frozenset(item.values.get(hosted.api.key) for item in new.items)
            for item in new.items:
                values = dict(item.values)
                if proton.manager is not None and not new.wrong:
                    with _refusals(item):
                        proton.manager.before_create(identity, hosted.api.name, values)
                missing = await missing_references(tx, identity, proton, hosted, values, together)
                wrong += item.located(missing)
                if len(wrong) >= ERRORS_SHOWN:
                    break
                if not wrong:
                    rows.append(
                        await self._insert(tx, identity, proton, hosted, values, item.bind_id, entries)
                    )
            if wrong:
                raise Unprocessable(wrong[:ERRORS_SHOWN])
            await self._outbox.add(tx, entries)
            return rows

        return await self._database.write(work)

    async def _insert(
        self,
        tx: Transaction,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        values: Row,
        bind_id: str | None,
        entries: list[Entry],
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
        entries += self._documents.stored(hosted, row)
        if hosted.role is Role.PORT:
            assert proton.model.interface is not None
            interface = proton.objects[proton.model.interface.name]
            with _taken(interface, key):
                default = await interface.repository.insert(tx, default_interface(interface, key, row))
            entries += self._documents.stored(interface, default)
        return row

    # -- update ---------------------------------------------------------------------------------------

    async def update(
        self,
        identity: Identity,
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
        wrong: list[Wrong] = []
        try:
            given = hosted.validator.update(body)
        except InvalidBody as error:
            wrong, given = wrong_fields(error), sound_references(hosted, body, error)

        async def work(tx: Transaction) -> Row:
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
            await self._outbox.add(tx, self._documents.stored(hosted, row))
            return row

        return await self._database.write(work)

    # -- delete ---------------------------------------------------------------------------------------

    async def delete(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        target: Target,
        cascade: bool = False,
    ) -> None:
        """Delete an object, with `cascade` also all that refers to it.

        Raises NotFound, Forbidden, PreconditionFailed, and Conflict with the objects in the way.
        """

        async def work(tx: Transaction) -> None:
            stored = await self.require(tx, identity, proton, hosted, target, "delete")
            entries = await self._removal.remove(tx, identity, proton, hosted, stored, cascade)
            await self._outbox.add(tx, entries)

        await self._database.write(work)

    # -- binding --------------------------------------------------------------------------------------

    async def take_answer(self, hosted: HostedObject, port_id: str, answer: Answer) -> Row | None:
        """Store a controller's answer to a bind; the answered port, or None if the bind is another by now.

        One UPDATE with that condition decides, so any number of servers may try: the row is the same for the
        one that stored the answer and for those that came later. Raises MalformedAnswer.
        """
        limit = hosted.api.attributes["vif_type"].length
        if limit is not None and len(answer.vif_type) > limit:
            raise MalformedAnswer(f"vif_type is longer than the model's {limit} characters")

        async def work(tx: Transaction) -> Row | None:
            row = await hosted.ports.take_answer(tx, port_id, answer.bind_id, answer.changes, answer.state)
            if row is not None:
                await self._outbox.add(tx, self._documents.stored(hosted, row))
                return row
            current = await hosted.repository.get(tx, port_id)
            return current if current is not None and current["bind_id"] == answer.bind_id else None

        return await self._database.write(work)

    async def give_up(self, hosted: HostedObject, port_id: str, bind_id: str) -> Row:
        """Say in the port that nobody answered its bind in time; the row as it is then.

        An answer that came first stays, and one that comes later is still taken. Raises NotFound when the
        port was deleted meanwhile.
        """

        async def work(tx: Transaction) -> Row:
            row = await hosted.ports.time_out(tx, port_id, bind_id, {"vif_type": FAILED})
            if row is not None:
                await self._outbox.add(tx, self._documents.stored(hosted, row))
            else:
                row = await hosted.repository.get(tx, port_id)
            if row is None:
                raise NotFound(f"{hosted.api.api_name} {port_id!r} was deleted while it was being bound")
            return row

        return await self._database.write(work)

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
