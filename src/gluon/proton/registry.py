"""The Protons that this server hosts: one immutable snapshot, replaced as a whole.

A request takes the snapshot once and is answered by it to the end, so it never sees half a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gluon.etcd.keys import segment
from gluon.model.model import ApiObject, Model, Role
from gluon.particle.texts import text_of_key
from gluon.particle.validators import ObjectValidator
from gluon.proton.managers import Manager
from gluon.proton.policy import Authorizer
from gluon.store.identities import Identities
from gluon.store.port_repository import PortRepository
from gluon.store.repository import ObjectRepository


@dataclass(frozen=True)
class HostedObject:
    """One object type of a hosted Proton, with all that is derived from it."""

    model: Model
    api: ApiObject
    repository: ObjectRepository
    validator: ObjectValidator

    @property
    def role(self) -> Role:
        """The object's role in the binding model."""
        return self.api.role

    @property
    def ports(self) -> PortRepository:
        """The repository of the model's port object, with what only ports have."""
        assert isinstance(self.repository, PortRepository), f"{self.api.name} is no port"
        return self.repository

    @cached_property
    def base_path(self) -> str:
        """Path of the collection below the API's root."""
        return f"/proton/{segment(self.model.service)}/{self.model.version_id}/{self.api.plural}"

    def path(self, key: Any) -> str:
        """Path of the object with that identifying key."""
        return f"{self.base_path}/{segment(text_of_key(key))}"


@dataclass(frozen=True)
class Proton:
    """One service in one version, ready to answer."""

    model: Model
    objects: Mapping[str, HostedObject]
    authorizer: Authorizer
    identities: Identities | None = None
    """Tells what an attribute identifies that may name objects of several types."""
    manager: Manager | None = None
    status: str = "CURRENT"

    @cached_property
    def by_plural(self) -> Mapping[str, HostedObject]:
        """Objects by the plural name in their URL."""
        return {o.api.plural: o for o in self.objects.values()}

    def child(self, parent: HostedObject, plural: str) -> HostedObject | None:
        """The child of `parent` with that plural name."""
        child = self.by_plural.get(plural)
        return child if child is not None and child.api.parent == parent.api.name else None


@dataclass(frozen=True)
class Registry:
    """All hosted Protons, by service name and then by version id (`v1.0`), oldest first."""

    protons: Mapping[str, Mapping[str, Proton]] = field(default_factory=dict)

    def find(self, service: str, version_id: str) -> Proton | None:
        """The Proton at that URL, if there is one."""
        return self.protons.get(service, {}).get(version_id)

    def current(self, service: str) -> Proton | None:
        """The newest served version of a service."""
        versions = self.protons.get(service)
        return list(versions.values())[-1] if versions else None

    def digests(self) -> dict[str, Any]:
        """Service to version to the model's digest."""
        return {
            service: {p.model.version: p.model.digest for p in versions.values()}
            for service, versions in self.protons.items()
        }
