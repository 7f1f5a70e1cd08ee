"""A service's objects as views: where views find each other, and what `reconcile` gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gluon.model.model import Model, Role
from gluon.shim.binds import binds_of, same_bind
from gluon.shim.inventory import Inventory
from gluon.shim.journal import Journal, Phase
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.shelf import ObjectId
from gluon.shim.views import SeenBinding, View


class Objects:
    """Views of what is there, and of what goes (the `Source` of views)."""

    def __init__(self, api_model: GenericApiModel, inventory: Inventory) -> None:
        self._api_model = api_model
        self._inventory = inventory

    @property
    def model(self) -> Model:
        """The model of the service."""
        return self._api_model.model

    def view(
        self, object_id: ObjectId, raw: bytes, *, departed: bool = False, binding: SeenBinding | None = None
    ) -> View:
        """The view of an object that says `raw`; of a port, as it is seen by a `binding` of it."""
        return self._api_model.view_classes[object_id.object_name](
            self, object_id.key, raw, departed=departed, binding=binding
        )

    def find_view(self, object_id: ObjectId) -> View | None:
        """The view of an object that is there or goes; else None."""
        for shelf, departed in ((self._inventory.live, False), (self._inventory.departed, True)):
            stored = shelf.get(object_id)
            if stored is not None:
                return self.view(object_id, stored.raw, departed=departed)
        return None

    def referring(self, object_name: str, attribute: str, value: Any, *, departed: bool) -> tuple[View, ...]:
        """Views of the objects whose attribute has that value; with `departed`, of those that go as well."""
        keys = self._inventory.find((object_name, attribute, value), departed=departed)
        views = (self.find_view(ObjectId(object_name, key)) for key in keys)
        return tuple(view for view in views if view is not None)


class DesiredState:
    """All that should be there (`gluon.shim.backend.Desired`), read when asked."""

    def __init__(self, objects: Objects, inventory: Inventory, journal: Journal) -> None:
        self._objects = objects
        self._inventory = inventory
        self._journal = journal

    @property
    def ports(self) -> tuple[View, ...]:
        """All ports of the service, on whatever host."""
        return self._with_role(Role.PORT)

    @property
    def bound_ports(self) -> tuple[View, ...]:
        """The ports that this shim server has bound."""
        return tuple(port for port in self.ports if self._is_bound(port.object_id))

    @property
    def inactive_ports(self) -> tuple[View, ...]:
        """The ports that this shim server has bound for inactive bindings, each by that binding."""
        return tuple(view for port in self.ports for view in self._made_ready(port.object_id))

    @property
    def interfaces(self) -> tuple[View, ...]:
        """All interfaces."""
        return self._with_role(Role.INTERFACE)

    @property
    def services(self) -> tuple[View, ...]:
        """All services, of all the model's service objects."""
        return self._with_role(Role.SERVICE)

    @property
    def service_bindings(self) -> tuple[View, ...]:
        """All service bindings, of all the model's binding objects."""
        return self._with_role(Role.SERVICE_BINDING)

    def objects(self, object_name: str) -> tuple[View, ...]:
        """All objects of the model's object `object_name`."""
        ids = (ObjectId(object_name, key) for key in self._inventory.live.keys(object_name))
        return _present(self.find(*object_id) for object_id in ids)

    def find(self, object_name: str, key: str) -> View | None:
        """One object by its key, if it should be there."""
        object_id = ObjectId(object_name, key)
        stored = self._inventory.live.get(object_id)
        return self._objects.view(object_id, stored.raw) if stored is not None else None

    def _with_role(self, role: Role) -> tuple[View, ...]:
        return tuple(
            view for found in self._objects.model.with_role(role) for view in self.objects(found.name)
        )

    def _is_bound(self, object_id: ObjectId) -> bool:
        entry = self._journal.get(object_id)
        return entry is not None and entry.binding is not None and entry.binding.phase is Phase.BOUND

    def _made_ready(self, object_id: ObjectId) -> Iterator[View]:
        entry, stored = self._journal.get(object_id), self._inventory.live.get(object_id)
        if entry is None or stored is None:
            return
        for binding in entry.inactive:
            bind = same_bind(binds_of(stored.raw), binding)
            if bind is not None and not bind.active and binding.phase is Phase.BOUND:
                yield self._objects.view(object_id, stored.raw, binding=SeenBinding(bind.says, active=False))


def _present(views: Iterable[View | None]) -> tuple[View, ...]:
    return tuple(view for view in views if view is not None)
