"""The generic API model: what follows from a model alone.

A hand-written one extends it, is named like its service in the entry points `gluon.shim.models`, and may add
properties to views, further indexes, and what else an object's state depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gluon.model.model import ApiObject, Model, Role
from gluon.shim.inventory import Inventory
from gluon.shim.shelf import Document, ObjectId, Term
from gluon.shim.views import View, view_classes

_ORDER = (Role.SERVICE, Role.INTERFACE, Role.SERVICE_BINDING, Role.PORT)


class GenericApiModel:
    """One service's objects: their views, the order among them, what they are found by."""

    def __init__(self, model: Model, admin_tenants: frozenset[str] = frozenset()) -> None:
        """`admin_tenants`: those whose objects may speak for all tenants, if an API model has any."""
        self.model = model
        self.admin_tenants = admin_tenants
        self.view_classes = view_classes(model, self.view_bases())
        self._ranks = _ranks(model)
        self._terms = {name: self._terms_of(o) for name, o in model.objects.items()}

    def view_bases(self) -> Mapping[str, type[View]]:
        """Hand-written views by object name; those made from the model extend them."""
        return {}

    def further_terms(self, object_name: str) -> Callable[[Document], Iterable[Term]] | None:
        """What else objects of a type are found by than the attributes that refer to others."""
        return None

    def affected(self, inventory: Inventory, object_id: ObjectId) -> Iterable[ObjectId]:
        """The objects whose `context` depends on an object that has come, changed or gone."""
        return ()

    with_context: frozenset[str] = frozenset()
    """The names of objects that `context` is to be asked about."""

    def context(self, view: View) -> str | None:
        """A digest of what an object depends on beyond its own attributes.

        The object is applied again when it differs from what it was applied with.
        """
        return None

    def rank(self, object_name: str) -> int:
        """Where objects of a type come in the order of creation."""
        return self._ranks[object_name]

    def terms(self, object_name: str) -> Callable[[Document], Iterable[Term]] | None:
        """What objects of a type are found by."""
        return self._terms.get(object_name)

    def first(self, view: View) -> Iterator[View]:
        """The objects that should be applied before this one: lower in rank, and related to it."""
        if view.api_object.role is Role.PORT:
            for interface in view.referrers_with_role(Role.INTERFACE):
                yield interface
                for binding in interface.referrers_with_role(Role.SERVICE_BINDING):
                    yield binding
                    if (service := binding.to(Role.SERVICE)) is not None:
                        yield service
        for attribute in view.api_object.references:
            target = view.follow(attribute.name)
            if target is not None and self.rank(target.object_name) < self.rank(view.object_name):
                yield target

    def last(self, view: View) -> Iterator[View]:
        """The objects that go before this one when both go: higher in rank, and related to it."""
        model, rank = self.model, self.rank(view.object_name)
        if view.api_object.role in (Role.INTERFACE, Role.SERVICE_BINDING):
            port = view.to(Role.PORT)
            if port is not None:
                yield port
        for referring, _ in model.referrers(view.object_name):
            if self.rank(referring.name) > rank:
                yield from view.referrers(referring.name)

    def _terms_of(self, api_object: ApiObject) -> Callable[[Document], Iterable[Term]] | None:
        name, attributes = api_object.name, tuple(a.name for a in api_object.references)
        further = self.further_terms(name)
        if not attributes:
            return further

        def terms(document: Document) -> Iterator[Term]:
            for attribute in attributes:
                value = document.get(attribute)
                if value is not None:
                    yield (name, attribute, value)
            if further is not None:
                yield from further(document)

        return terms


def _ranks(model: Model) -> dict[str, int]:
    """Service before interface before service binding before port; other objects after what they refer to.

    Those that refer to each other in a circle come in the order in which the model declares them.
    """
    ranks: dict[str, int] = {}

    def rank(api_object: ApiObject, on_the_way: tuple[str, ...]) -> int:
        name = api_object.name
        if name in ranks:
            return ranks[name]
        if api_object.role in _ORDER:
            # Room below, for objects of other kinds that a service may refer to.
            result = len(model.objects) + _ORDER.index(api_object.role)
        else:
            result = 0
            for attribute in api_object.references:
                for target in attribute.refers_to:
                    if target != name and target not in on_the_way:
                        result = max(result, rank(model.objects[target], (*on_the_way, name)) + 1)
        ranks[name] = result
        return result

    for api_object in model.objects.values():
        rank(api_object, ())
    return ranks
