"""What a path names: a Proton, a collection of its, one object, or the children of an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gluon.particle.spelling import did_you_mean
from gluon.proton.errors import NotFound
from gluon.proton.registry import HostedObject, Proton, Registry
from gluon.proton.web.requests import decoded

CurrentRegistry = Callable[[], Registry]
"""Gives the snapshot that a request is answered by; asked once for each request."""


@dataclass(frozen=True, slots=True)
class Place:
    """A collection of a Proton, perhaps below a parent object, and the key of one object in it."""

    proton: Proton
    hosted: HostedObject
    parent: HostedObject | None = None
    parent_key: Any = None
    key: Any = None

    @property
    def collection_path(self) -> str:
        """Path of the collection below the API's root."""
        if self.parent is None:
            return self.hosted.base_path
        return f"{self.parent.path(self.parent_key)}/{self.hosted.api.plural}"


def find_proton(registry: Registry, service: str, version: str) -> Proton:
    """The Proton that a path names; raises NotFound."""
    proton = registry.find(decoded(service), decoded(version))
    if proton is None:
        name, version_id = decoded(service), decoded(version)
        versions = registry.protons.get(name)
        if versions is None:
            raise NotFound(f"there is no service {name!r}{did_you_mean(name, registry.protons)}")
        raise NotFound(f"{name} has no version {version_id!r}; it has {', '.join(versions)}")
    return proton


def find_place(
    registry: Registry,
    service: str,
    version: str,
    plural: str,
    key: str | None = None,
    child: str | None = None,
    child_key: str | None = None,
) -> Place:
    """The place that the (still encoded) segments of a path name; raises NotFound."""
    proton = find_proton(registry, service, version)
    hosted = proton.by_plural.get(decoded(plural))
    if hosted is None:
        name = decoded(plural)
        raise NotFound(f"{proton.model.service} has no {name!r}{did_you_mean(name, proton.by_plural)}")
    if child is None:
        return Place(proton, hosted, key=None if key is None else _key(hosted, key))
    assert key is not None
    children = proton.child(hosted, decoded(child))
    if children is None:
        raise NotFound(f"{hosted.api.plural} have no {decoded(child)!r}")
    return Place(
        proton,
        children,
        parent=hosted,
        parent_key=_key(hosted, key),
        key=None if child_key is None else _key(children, child_key),
    )


def _key(hosted: HostedObject, segment: str) -> Any:
    text = decoded(segment)
    key = hosted.validator.key_from_path(text)
    if key is None:
        raise NotFound(f"there is no {hosted.api.api_name} {text!r}")
    return key
