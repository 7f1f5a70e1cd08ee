"""The one door for writes: every change of an object goes through here.

A write is validated, then one transaction looks up what it refers to, asks the access rules about the
stored object, changes the rows, and puts the etcd entries that follow from it into the outbox. What a
transaction's work does must not touch the event loop: some databases run it in a thread of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from gluon.model.model import Role
from gluon.particle.texts import text_of_key
from gluon.particle.validators import InvalidBody, server_makes_key
from gluon.proton.answer import Answer
from gluon.proton.binding import FAILED, binding_changes, was_ever_bound
from gluon.proton.documents import SERVER_FIELDS, Entry, EtcdDocuments
from gluon.proton.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.managers import Refused
from gluon.proton.references import missing_references
from gluon.proton.registry import HostedObject, Proton
from gluon.proton.removal import Removal
from gluon.store.database import Database, Transaction, UniqueViolation
from gluon.store.outbox import Outbox

Row = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class NewObject:
    """A validated body on its way into the database."""

    values: Row
    field_prefix: str
    """How the body's fields are called in errors: nothing, or `ports[3].` in a bulk create."""
    bind_id: str | None
    """For the bind that a new port with host and device starts."""


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

    def validated(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        bodies: Sequence[Any],
        parent_key: Any = None,
        bulk: bool = False,
    ) -> tuple[list[NewObject], list[Wrong]]:
        """The bodies as `create` takes them, and all that is wrong with them by the model alone."""
        new, wrong = [], []
        for index, body in enumerate(bodies):
            prefix = f"{hosted.api.plural}[{index}]." if bulk else ""
            if isinstance(body, Mapping) and "tenant_id" in hosted.api.attributes and identity.tenant_id:
                body = {"tenant_id": identity.tenant_id, **body}
            try:
                values = hosted.validator.create(body, parent_key=parent_key)
            except InvalidBody as error:
                wrong += [Wrong(prefix + e.field, e.message) for e in error.errors]
                new.append(NewObject(_sound_references(hosted, body, error), prefix, None))
                continue
            if values[hosted.api.key] is None and server_makes_key(hosted.api):
                values[hosted.api.key] = str(uuid4())
            binds = hosted.role is Role.PORT and values["host_id"] and values["device_id"]
            bind_id = str(uuid4()) if binds else None
            new.append(NewObject(values, prefix, bind_id))
        return new, wrong

    async def create(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        new: Sequence[NewObject],
        wrong: Sequence[Wrong] = (),
        parent_key: Any = None,
    ) -> list[Row]:
        """Create objects, all or nothing; the stored rows in the same order.

        `wrong` is what `validated` found: with any of it nothing is created, but references are looked up
        all the same, so that the caller learns of everything at once. Raises Unprocessable, Forbidden,
        Conflict, and NotFound where the parent isn't there.
        """

        async def work(tx: Transaction) -> list[Row]:
            if parent_key is not None:
                await self.require_parent(tx, identity, proton, hosted, parent_key)
            problems = list(wrong)
            rows: list[Row] = []
            entries: list[Entry] = []
            for item in new:
                missing = await missing_references(tx, identity, proton, hosted, item.values)
                problems += [Wrong(item.field_prefix + m.field, m.message) for m in missing]
                if not problems:
                    rows.append(await self._insert(tx, identity, proton, hosted, item, entries))
            if problems:
                raise Unprocessable(problems)
            await self._outbox.add(tx, entries)
            return rows

        return await self._database.write(work)

    async def _insert(
        self,
        tx: Transaction,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        item: NewObject,
        entries: list[Entry],
    ) -> Row:
        values = dict(item.values)
        if proton.manager is not None:
            with _refusals(item.field_prefix):
                proton.manager.before_create(identity, hosted.api.name, values)
        if not proton.authorizer.may(identity, "create", hosted.api, values):
            raise Forbidden(f"the access rules don't let you create this {hosted.api.api_name}")
        key = values[hosted.api.key]
        if hosted.role is Role.PORT:
            values.update({"bind_id": None, "bind_state": None})
            if item.bind_id is not None:
                values.update(binding_changes(None, values, item.bind_id))
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
        given: Row = {}
        try:
            given = hosted.validator.update(body)
        except InvalidBody as error:
            wrong = [Wrong(e.field, e.message) for e in error.errors]
            given = _sound_references(hosted, body, error)

        async def work(tx: Transaction) -> Row:
            stored = await self.require(tx, identity, proton, hosted, target, "update")
            changes = {n: v for n, v in given.items() if _differs(v, stored[n])}
            problems = wrong + _fixed(identity, hosted, stored, changes)
            problems += await missing_references(tx, identity, proton, hosted, changes)
            if problems:
                raise Unprocessable(problems)
            if hosted.role is Role.PORT:
                # The same host again counts as given: it tries a bind that has failed once more.
                again = {n: v for n, v in given.items() if n in ("host_id", "device_id")}
                changes |= binding_changes(stored, changes | again, bind_id)
            if proton.manager is not None and changes:
                with _refusals(""):
                    proton.manager.before_update(identity, hosted.api.name, stored, changes)
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
        """Store a controller's answer to a bind; None if the port waits for that bind no more.

        One UPDATE with that condition decides, so any number of servers may try.
        """

        async def work(tx: Transaction) -> Row | None:
            row = await hosted.ports.take_answer(
                tx, port_id, answer.bind_id, answer.changes, answer.state.value
            )
            if row is not None:
                await self._outbox.add(tx, self._documents.stored(hosted, row))
            return row

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


def default_interface(interface: HostedObject, port_id: str, port: Mapping[str, Any]) -> Row:
    """The unsegmented interface that every port has: with the port's own id, and named after it."""
    limit = interface.api.attributes["name"].length or 255
    suffix = "_default"
    name = f"{port['name'][: max(0, limit - len(suffix))]}{suffix}"[:limit] if port["name"] else "default"
    values: Row = dict.fromkeys(interface.api.attributes)
    values["port_id"] = port_id
    values[interface.api.key] = port_id
    values["tenant_id"] = port["tenant_id"]
    values["name"] = name
    values["segmentation_type"] = "none"
    values["segmentation_id"] = 0
    return values


def _sound_references(hosted: HostedObject, body: Any, error: InvalidBody) -> Row:
    """The references in a refused body that are at least spelt right: they are looked up all the same."""
    if not isinstance(body, Mapping):
        return {}
    refused = {e.field for e in error.errors}
    return {
        a.name: hosted.validator.parse_query(a.name, text_of_key(body[a.name]))
        for a in hosted.api.references
        if body.get(a.name) is not None and a.name not in refused
    }


def _differs(given: Any, stored: Any) -> bool:
    # 1 and 1.0 are one number, but true is not 1.
    return given != stored or isinstance(given, bool) != isinstance(stored, bool)


def _fixed(
    identity: Identity, hosted: HostedObject, stored: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[Wrong]:
    """The changes that nobody, or not this caller, may make to an object that exists."""
    wrong = []
    for name in changes:
        if name in (hosted.api.key, hosted.api.parent_key):
            wrong.append(Wrong(name, "is fixed when the object is created"))
        elif name in SERVER_FIELDS:
            wrong.append(Wrong(name, f"is kept by the server, and is {stored[name]!r} by now"))
        elif name == "tenant_id" and "admin" not in identity.roles:
            wrong.append(Wrong(name, "can be changed by an administrator only"))
        elif name == "status" and hosted.role is Role.PORT and was_ever_bound(stored):
            wrong.append(Wrong(name, "is kept by the server since the port was first bound"))
    return wrong


@contextmanager
def _refusals(field_prefix: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise Unprocessable(
            [Wrong(field_prefix + field, message) for field, message in error.errors.items()]
        ) from error


@contextmanager
def _taken(hosted: HostedObject, key: Any) -> Iterator[None]:
    try:
        yield
    except UniqueViolation as error:
        raise Conflict(f"{hosted.api.api_name} {key!r}: {error}") from error
