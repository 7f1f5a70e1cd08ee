"""What a resync looks at: everything that the database keeps, or the part of it that was named.

Only services of the database are looked at, whoever hosts them: what etcd has of others may belong to
another installation, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gluon.etcd.keys import Keys
from gluon.model.compiler import model_from_document
from gluon.model.model import Role
from gluon.particle.spelling import did_you_mean
from gluon.proton.controllers import ControllersByService
from gluon.proton.documents import EtcdDocuments
from gluon.proton.key_ranges import (
    AnswerKeys,
    KeyRange,
    ModelKeys,
    ObjectKeys,
    PortOwnerKeys,
    StoredObject,
)
from gluon.store.applied import AppliedModels
from gluon.store.database import Database, Transaction
from gluon.store.port_repository import repositories
from gluon.store.ports import PortIds
from gluon.store.schema import Schema, service_schema


class UnknownScope(Exception):
    """There is no such service or object in the database; the text names what was probably meant."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at; None stands for all. `object` is the name of a type, or its name in URLs."""

    service: str | None = None
    object: str | None = None
    id: str | None = None


EVERYTHING = Scope()


class Part(NamedTuple):
    """Keys to look at: all of a range, or those that are named."""

    range: KeyRange
    named: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StoredServices:
    """The services that the database has: their objects by service and name, and why some can't be read."""

    objects: Mapping[str, Mapping[str, StoredObject]]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    async def read(cls, database: Database) -> StoredServices:
        """From the models that the database's tables were made for."""
        schema, applied = Schema(database), AppliedModels(database.dialect)
        unreadable: dict[str, str] = {}

        async def work(tx: Transaction) -> dict[str, dict[str, StoredObject]]:
            found: dict[str, dict[str, StoredObject]] = {}
            for record in await applied.all(tx):
                try:
                    model = model_from_document(record.document)
                except (ValueError, TypeError, LookupError, AttributeError) as error:
                    unreadable[record.service] = f"the model in the database can't be read: {error!r}"
                    found.pop(record.service, None)
                    continue
                tables = service_schema(model, await schema.names(tx, record.service))
                found[record.service] = {
                    name: StoredObject(model, repository)
                    for name, repository in repositories(tables, database.dialect).items()
                }
            return found

        return cls(await database.read(work), unreadable)

    @property
    def names(self) -> list[str]:
        """All services, readable or not."""
        return sorted({*self.objects, *self.unreadable})

    def parts(
        self,
        scope: Scope,
        keys: Keys,
        documents: EtcdDocuments,
        database: Database,
        *,
        own_url_counts: bool,
        controllers: ControllersByService,
    ) -> list[Part]:
        """The keys that the scope is about; raises UnknownScope."""
        chosen = self._chosen(scope)
        parts: list[Part] = []
        if scope.object is None and scope.id is None:
            parts.append(Part(model_keys(keys, list(chosen), database, controllers)))
        ports: dict[str, StoredObject] = {}
        for service, names in chosen.items():
            objects = self.objects.get(service, {})
            for only in names if scope.object is not None else [None]:
                found = ObjectKeys(keys, documents, service, objects, only)
                named = scope.id and tuple(keys.object(service, name, scope.id) for name in names)
                if objects:
                    parts.append(Part(found, named or None))
            for name in names:
                if objects[name].role is Role.PORT:
                    ports[service] = objects[name]
                    answer = scope.id and (keys.answer(service, name, scope.id),)
                    parts.append(Part(AnswerKeys(keys, objects[name]), answer or None))
        if ports:
            owners = PortOwnerKeys(
                keys, documents, ports, PortIds(database.dialect), own_url_counts=own_url_counts
            )
            parts.append(Part(owners, (keys.port(scope.id),) if scope.id else None))
        return parts

    def _chosen(self, scope: Scope) -> dict[str, Sequence[str]]:
        """Names of objects by service."""
        if scope.service is not None and scope.service not in self.names:
            raise UnknownScope(
                f"the database has no service {scope.service!r}{_instead(scope.service, self.names)}"
            )
        if scope.service is not None and scope.service in self.unreadable:
            raise UnknownScope(f"service {scope.service}: {self.unreadable[scope.service]}")
        services = [scope.service] if scope.service is not None else self.names
        if scope.object is None:
            return {service: tuple(self.objects.get(service, {})) for service in services}
        chosen = {
            service: [
                name
                for name, o in self.objects.get(service, {}).items()
                if scope.object in (name, o.api.api_name, o.api.plural)
            ]
            for service in services
        }
        if not any(chosen.values()):
            known = sorted({name for service in services for name in self.objects.get(service, {})})
            where = f"service {scope.service}" if scope.service is not None else "no service of the database"
            what = f"{where} has {'no' if scope.service else 'an'} object {scope.object!r}"
            raise UnknownScope(f"{what}{_instead(scope.object, known)}")
        return {service: names for service, names in chosen.items() if names}


def model_keys(
    keys: Keys, services: Sequence[str], database: Database, controllers: ControllersByService
) -> ModelKeys:
    """The keys of the models of some services."""
    return ModelKeys(keys, services, AppliedModels(database.dialect), controllers)


def _instead(wrong: str, known: Sequence[str]) -> str:
    return did_you_mean(wrong, known) or (
        f"; there is {', '.join(known)}" if known else "; it has none at all"
    )
