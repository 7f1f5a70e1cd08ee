"""From the bodies of a request to what a transaction works on, and all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from gluon.model.model import SERVER_ATTRIBUTES, Role
from gluon.particle.texts import text_of_key
from gluon.particle.validators import InvalidBody, server_makes_key
from gluon.proton.binding import was_ever_bound
from gluon.proton.errors import Wrong
from gluon.proton.identity import Identity
from gluon.proton.registry import HostedObject
from gluon.store.paging import Row

ERRORS_SHOWN = 100
"""How many wrong fields of a bulk create are named: more help nobody, and cost the server."""


@dataclass(frozen=True, slots=True)
class NewObject:
    """A body on its way into the database; of one that is wrong, the references that are at least sound."""

    values: Row
    position: str
    """Where it stands in a bulk create, as `ports[3]`; else empty."""
    bind_id: str | None = None
    """For the bind that a new port with host and device starts."""

    def located(self, wrong: Sequence[Wrong]) -> list[Wrong]:
        """What is wrong with this body, named so that it can be told from the others."""
        if not self.position:
            return list(wrong)
        return [Wrong(f"{self.position}.{w.field}" if w.field else self.position, w.message) for w in wrong]


@dataclass(frozen=True, slots=True)
class NewObjects:
    """All bodies of a create request, and what is wrong with them by the model alone."""

    items: list[NewObject] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)


def new_objects(
    identity: Identity,
    hosted: HostedObject,
    bodies: Sequence[Any],
    parent_key: Any = None,
    bulk: bool = False,
) -> NewObjects:
    """Hold the bodies against the model; looks no further once a hundred fields are wrong."""
    new = NewObjects()
    for index, body in enumerate(bodies):
        position = f"{hosted.api.plural}[{index}]" if bulk else ""
        item, wrong = _new_object(identity, hosted, body, parent_key, position)
        new.items.append(item)
        new.wrong.extend(item.located(wrong))
        if len(new.wrong) >= ERRORS_SHOWN:
            break
    return new


def _new_object(
    identity: Identity, hosted: HostedObject, body: Any, parent_key: Any, position: str
) -> tuple[NewObject, list[Wrong]]:
    if isinstance(body, Mapping) and "tenant_id" in hosted.api.attributes and identity.tenant_id:
        body = {"tenant_id": identity.tenant_id, **body}
    try:
        values = hosted.validator.create(body, parent_key=parent_key)
    except InvalidBody as error:
        return NewObject(_sound_part(hosted, body, error), position), wrong_fields(error)
    if values[hosted.api.key] is None and server_makes_key(hosted.api):
        values[hosted.api.key] = str(uuid4())
    binds = hosted.role is Role.PORT and values["host_id"] and values["device_id"]
    return NewObject(values, position, str(uuid4()) if binds else None), []


def _sound_part(hosted: HostedObject, body: Any, error: InvalidBody) -> Row:
    sound = sound_references(hosted, body, error)
    if isinstance(body, Mapping) and isinstance(body.get(hosted.api.key), str | int):
        # Others of the same request may refer to it.
        sound[hosted.api.key] = hosted.validator.key_from_path(text_of_key(body[hosted.api.key]))
    return sound


def wrong_fields(error: InvalidBody) -> list[Wrong]:
    """What the model has against a body."""
    return [Wrong(e.field, e.message) for e in error.errors]


def sound_references(hosted: HostedObject, body: Any, error: InvalidBody) -> Row:
    """The references in a refused body that are at least spelt right: they are looked up all the same."""
    if not isinstance(body, Mapping):
        return {}
    refused = {e.field for e in error.errors}
    return {
        a.name: hosted.validator.parse_query(a.name, text_of_key(body[a.name]))
        for a in hosted.api.references
        if body.get(a.name) is not None and a.name not in refused
    }


def differs(given: Any, stored: Any) -> bool:
    """Whether a value changes by being written: 1 and 1.0 are one number, but true is not 1."""
    return bool(given != stored) or isinstance(given, bool) != isinstance(stored, bool)


def fixed_fields(
    identity: Identity, hosted: HostedObject, stored: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[Wrong]:
    """The changes that nobody, or not this caller, may make to an object that exists."""
    wrong = []
    for name in changes:
        if name in (hosted.api.key, hosted.api.parent_key):
            wrong.append(Wrong(name, "is fixed when the object is created"))
        elif name in SERVER_ATTRIBUTES:
            wrong.append(Wrong(name, f"is kept by the server, and is {stored[name]!r} by now"))
        elif name == "tenant_id" and "admin" not in identity.roles:
            wrong.append(Wrong(name, "can be changed by an administrator only"))
        elif name == "port_id" and hosted.role is Role.INTERFACE and stored[hosted.api.key] == stored[name]:
            wrong.append(Wrong(name, "is fixed: the default interface of a port stays with its port"))
        elif name == "status" and hosted.role is Role.PORT and was_ever_bound(stored):
            wrong.append(Wrong(name, "is kept by the server since the port was first bound"))
    return wrong
