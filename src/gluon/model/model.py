"""A compiled model: the frozen value from which everything else is derived.

The compiler makes it from the documents of a service (`gluon.model.compiler`); a shim or a client
makes it again from the published document (`Model.document`), without the files. Nothing mutates it
and no module keeps one in a global.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SERVER_ATTRIBUTES = ("created_at", "updated_at", "revision_number")
"""What the server keeps of every object beside its attributes, in the order in which documents show it."""


class Role(enum.Enum):
    """What an object is in the port and service binding model; taken from the base object it extends."""

    PORT = "port"
    INTERFACE = "interface"
    SERVICE = "service"
    SERVICE_BINDING = "service_binding"
    NONE = "none"


class AttributeType(enum.Enum):
    """The types of the model language; a reference is spelt in models as the name of its object."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    UUID = "uuid"
    ENUM = "enum"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an API object, with inheritance already merged in.

    `target` is the name of the object that a reference points at. `value_type` is the type of the
    values on the wire: the attribute's own type, or, for a reference, the type of the identifying
    key at the end of the chain of references. `length`, `format`, `minimum` and `maximum` hold for
    the values themselves, so a reference carries those of the key that it points at.
    """

    name: str
    type: AttributeType
    value_type: AttributeType
    target: str | None = None
    refers_to: tuple[str, ...] = ()
    """Names of the objects one of which the value must identify: `(target,)` for a reference; the
    model's interface, port or all of its services where a binding object leaves `interface_id`,
    `port_id` or `service_id` a plain uuid; else empty."""
    description: str = ""
    required: bool = False
    """Whether a value must be given at creation; for an identifying key worked out: a plain uuid is made
    by the server when it is left out, any other key must be given."""
    primary: bool = False
    length: int | None = None
    values: tuple[str, ...] = ()
    format: str | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None


@dataclass(frozen=True)
class ApiObject:
    """An object with an API: a collection under the service's URL, a table, keys in etcd."""

    name: str
    api_name: str
    plural: str
    role: Role
    attributes: Mapping[str, Attribute]
    key: str
    """Name of the identifying attribute: the one in URLs and etcd keys."""
    unique_together: tuple[str, ...] = ()
    """All primary attributes when there are several, else empty."""
    parent: str | None = None
    """Name of the parent object, whose key `parent_key` holds."""
    parent_key: str | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    """Action (create, delete, list, get, update) to rule string; every action is there."""
    description: str = ""

    @property
    def key_attribute(self) -> Attribute:
        """The identifying attribute itself."""
        return self.attributes[self.key]

    @property
    def references(self) -> tuple[Attribute, ...]:
        """The attributes whose value must identify another object."""
        return tuple(a for a in self.attributes.values() if a.refers_to)


@dataclass(frozen=True)
class Model:
    """One networking service in one version, checked and complete."""

    service: str
    version: str
    """As written in the model (`1.0`, `1.10`); in URLs with a `v` before it."""
    description: str
    objects: Mapping[str, ApiObject]
    """API objects by name, in declared order."""
    document: Mapping[str, Any]
    """The merged model in the terms of the language, defaults spelt out, nothing derived."""
    digest: str
    """SHA-256 (hex) of the canonical JSON of `document`."""

    @property
    def version_id(self) -> str:
        """The version as it stands in URLs: `v1.0`."""
        return f"v{self.version}"

    def with_role(self, role: Role) -> tuple[ApiObject, ...]:
        """The API objects of that role, in declared order."""
        return tuple(o for o in self.objects.values() if o.role is role)

    @cached_property
    def port(self) -> ApiObject | None:
        """The object that virtual machines bind to, if the model takes part in binding."""
        return next(iter(self.with_role(Role.PORT)), None)

    @cached_property
    def interface(self) -> ApiObject | None:
        """The object that segments a port, if the model takes part in binding."""
        return next(iter(self.with_role(Role.INTERFACE)), None)

    @cached_property
    def by_plural(self) -> Mapping[str, ApiObject]:
        """API objects by the plural name in their URL."""
        return {o.plural: o for o in self.objects.values()}

    def children(self, name: str) -> tuple[ApiObject, ...]:
        """The objects whose parent is the object `name`."""
        return tuple(o for o in self.objects.values() if o.parent == name)

    def referrers(self, name: str) -> tuple[tuple[ApiObject, Attribute], ...]:
        """Every (object, attribute) whose value may identify an object of the type `name`."""
        return tuple((o, a) for o in self.objects.values() for a in o.references if name in a.refers_to)
