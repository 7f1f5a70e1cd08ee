"""Read-only views: how a backend sees objects.

Each object of a model gets a class of its own, made from the model: a property for each attribute, with
the types of the model (a missing value is None), and properties that lead to other objects, as far as no
attribute has that name:

- by role: `port.interfaces`, `interface.port`, `interface.bindings` and `interface.binding` (the first of
  them, or None), `binding.interface`, `binding.service`, `binding.port`, `service.bindings`,
  `service.interfaces`, `service.ports`
- by reference: an attribute `vpn_id` that refers to another object gives `view.vpn`; any attribute that
  refers, whatever its name, gives `view.follow("attribute")`
- backwards: `view.referrers("Object")` are the objects of that type that refer to this one

A port may be seen by one of its inactive bindings (`port.binding_active` is False then): `host_id`,
`bind_id`, `profile` and what it was answered are that binding's own. `port.bindings` are always all inactive
ones.

What a view says of its object never changes. Where it leads to is looked up when asked, so it may be newer.
A view of an object that goes also leads to others that go; a view of an object that is there leads only to
others that are, but for a single one that it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gluon.model.model import SERVER_ATTRIBUTES, ApiObject, Model, Role
from gluon.shim.shelf import Document, ObjectId, decode


class Source(Protocol):
    """Where views find each other."""

    @property
    def model(self) -> Model:
        """The model of the service."""

    def find_view(self, object_id: ObjectId) -> View | None:
        """The view of an object that is there or goes; else None."""

    def referring(self, object_name: str, attribute: str, value: Any, *, departed: bool) -> tuple[View, ...]:
        """Views of the objects whose attribute has that value; with `departed`, of those that go as well."""


class SeenBinding(NamedTuple):
    """By which binding a port is seen: what that says instead of the port, and whether it is active."""

    says: Document
    active: bool


class View:
    """An object. `view["name"]` is an attribute, whatever else has that name."""

    __slots__ = ("_binding", "_departed", "_document", "_key", "_raw", "_source")

    api_object: ApiObject
    """The object's type in the model: its role, attributes, key."""

    ways: Mapping[Role, str]
    """By which attribute it refers to an object of a role."""

    def __init__(
        self,
        source: Source,
        key: str,
        raw: bytes,
        *,
        departed: bool = False,
        binding: SeenBinding | None = None,
    ) -> None:
        """`binding`: the one by which a port is seen, if that is not what the port itself says."""
        for name, value in (("source", source), ("key", key), ("raw", raw), ("departed", departed)):
            object.__setattr__(self, f"_{name}", value)
        object.__setattr__(self, "_document", None)
        object.__setattr__(self, "_binding", binding)

    if TYPE_CHECKING:
        _source: Source
        _key: str
        _raw: bytes
        _departed: bool
        _document: Document | None
        _binding: SeenBinding | None

        def __getattr__(self, name: str) -> Any: ...

    @property
    def key(self) -> str:
        """The identifying key as text, as in URLs."""
        return self._key

    @property
    def object_name(self) -> str:
        """The name of the object's type in the model, such as `VpnService`."""
        return self.api_object.name

    @property
    def object_id(self) -> ObjectId:
        """Type and key: what tells objects of a service apart, and what logs say."""
        return ObjectId(self.api_object.name, self._key)

    @property
    def document(self) -> Document:
        """All attributes, and what the server keeps: created_at, updated_at, revision_number."""
        if self._document is None:
            document = decode(self._raw)
            if self._binding is not None:
                document = {**document, **self._binding.says}
            document = _frozen(document)
            object.__setattr__(self, "_document", MappingProxyType(document))
        assert self._document is not None
        return self._document

    @property
    def departed(self) -> bool:
        """Whether the object is gone, and this is what it was."""
        return self._departed

    def __getitem__(self, name: str) -> Any:
        return self.document[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; `default` when the model has none of that name."""
        return self.document.get(name, default)

    @property
    def _by_active(self) -> bool:
        return self._binding is None or self._binding.active

    def follow(self, attribute: str) -> View | None:
        """The object that an attribute refers to; None when it refers to nothing, or that isn't there."""
        value = self.document.get(attribute)
        if value is None:
            return None
        for target in self.api_object.attributes[attribute].refers_to:
            found = self._source.find_view(ObjectId(target, key_text(value)))
            if found is not None:
                return found
        return None

    def referrers(self, object_name: str, attribute: str | None = None) -> tuple[View, ...]:
        """The objects of a type that refer to this one, by one attribute or by any."""
        views: dict[ObjectId, View] = {}
        for referring, by in self._source.model.referrers(self.api_object.name):
            if referring.name == object_name and attribute in (None, by.name):
                value = self.document.get(self.api_object.key)
                for view in self._source.referring(object_name, by.name, value, departed=self._departed):
                    views[view.object_id] = view
        return tuple(views.values())

    def referrers_with_role(self, role: Role) -> tuple[View, ...]:
        """The objects of a role that refer to this one."""
        return _distinct(
            v for found in self._source.model.with_role(role) for v in self.referrers(found.name)
        )

    def to(self, role: Role) -> View | None:
        """The one object of a role that this one belongs to: an interface's port; a binding's interface,
        service and port.
        """
        if role in self.ways:
            return self.follow(self.ways[role])
        interface = self.to(Role.INTERFACE) if Role.INTERFACE in self.ways else None
        return interface.to(role) if interface is not None else None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"views are read-only: {name} of {self.object_id} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"views are read-only: {name} of {self.object_id} can't be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, View):
            return NotImplemented
        return (
            self.object_id == other.object_id
            and self._by_active == other._by_active
            and self.document == other.document
        )

    def __hash__(self) -> int:
        return hash(self.object_id)

    def __repr__(self) -> str:
        return f"<{self.object_id}>"


PORT_FIELDS = ("bind_id", "bindings")

_Getter = Callable[[View], Any]


def view_classes(model: Model, bases: Mapping[str, type[View]] | None = None) -> Mapping[str, type[View]]:
    """The class of each object's views; `bases` are hand-written ones for some objects, which they extend."""
    return {
        name: _view_class(model, api_object, (bases or {}).get(name, View))
        for name, api_object in model.objects.items()
    }


def _view_class(model: Model, api_object: ApiObject, base: type[View]) -> type[View]:
    names = [*api_object.attributes, *SERVER_ATTRIBUTES]
    if api_object.role is Role.PORT:
        names += PORT_FIELDS
    getters: dict[str, _Getter] = {name: _attribute(name) for name in names}
    for name, getter in {**_by_reference(api_object), **_by_role(api_object)}.items():
        getters.setdefault(name, getter)
    # Names of View itself, and of a hand-written view, win: code for any model relies on them.
    properties = {name: property(getter) for name, getter in getters.items() if not hasattr(base, name)}
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": api_object.description or None,
        "api_object": api_object,
        "ways": _ways(model, api_object),
    }
    return type(f"{api_object.name}View", (base,), {**properties, **namespace})


def _attribute(name: str) -> _Getter:
    return lambda view: view.document.get(name)


def _by_reference(api_object: ApiObject) -> dict[str, _Getter]:
    return {a.name.removesuffix("_id"): _followed(a.name) for a in api_object.references if a.name != "_id"}


def _followed(attribute: str) -> _Getter:
    return lambda view: view.follow(attribute)


def _by_role(api_object: ApiObject) -> dict[str, _Getter]:
    if api_object.role is Role.PORT:
        return {
            "interfaces": lambda port: port.referrers_with_role(Role.INTERFACE),
            "binding_active": lambda port: port._by_active,
        }
    if api_object.role is Role.INTERFACE:
        return {
            "port": lambda interface: interface.to(Role.PORT),
            "bindings": lambda interface: interface.referrers_with_role(Role.SERVICE_BINDING),
            "binding": lambda interface: next(
                iter(interface.referrers_with_role(Role.SERVICE_BINDING)), None
            ),
        }
    if api_object.role is Role.SERVICE_BINDING:
        return {
            "interface": lambda binding: binding.to(Role.INTERFACE),
            "service": lambda binding: binding.to(Role.SERVICE),
            "port": lambda binding: binding.to(Role.PORT),
        }
    if api_object.role is Role.SERVICE:
        return {
            "bindings": lambda service: service.referrers_with_role(Role.SERVICE_BINDING),
            "interfaces": lambda service: _reached(service, Role.INTERFACE),
            "ports": lambda service: _reached(service, Role.PORT),
        }
    return {}


def _reached(service: View, role: Role) -> tuple[View, ...]:
    return _distinct(binding.to(role) for binding in service.referrers_with_role(Role.SERVICE_BINDING))


def _ways(model: Model, api_object: ApiObject) -> Mapping[Role, str]:
    ways = {role: reference_to(model, api_object, role) for role in Role if role is not Role.NONE}
    return {role: attribute for role, attribute in ways.items() if attribute is not None}


def reference_to(model: Model, api_object: ApiObject, role: Role) -> str | None:
    """The attribute by which an object refers to one of that role; of several the inherited one."""
    targets = {o.name for o in model.with_role(role)}
    found = [a.name for a in api_object.references if targets & set(a.refers_to)]
    inherited = f"{role.value}_id"
    return inherited if inherited in found else next(iter(found), None)


def _distinct(views: Iterable[View | None]) -> tuple[View, ...]:
    return tuple({view.object_id: view for view in views if view is not None}.values())


def key_text(value: Any) -> str:
    """A key's value as it stands in etcd keys."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _frozen(document: Document) -> dict[str, Any]:
    return {
        name: _frozen_value(value) if isinstance(value, (list, dict)) else value
        for name, value in document.items()
    }


def _frozen_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen_value(item) for item in value)
    return MappingProxyType(_frozen(value)) if isinstance(value, dict) else value
