"""From models to Protons: which services this server hosts, and the tables that they need.

Files are the input of a service's first start. From then on the database is the truth: it holds the
model that its tables were made for, and that one is served. A file that differs from it is reported in
health, never applied behind the operator's back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from oslo_config import cfg

from gluon.etcd.keys import Keys
from gluon.model.catalog import Catalog
from gluon.model.compiler import model_from_document
from gluon.model.model import Model
from gluon.particle.spelling import did_you_mean
from gluon.particle.validators import ObjectValidator
from gluon.proton.controllers import NO_CONTROLLERS, ControllersByService
from gluon.proton.documents import model_value
from gluon.proton.managers import Managers
from gluon.proton.policy import Authorizer
from gluon.proton.registry import HostedObject, Proton, Registry
from gluon.store.applied import AppliedModel, AppliedModels
from gluon.store.database import Database, Transaction
from gluon.store.identities import Identities
from gluon.store.outbox import Outbox
from gluon.store.port_repository import repositories
from gluon.store.schema import ModelDiffers, Schema

_log = logging.getLogger(__name__)


class HostingError(Exception):
    """The server was told to host what can't be hosted."""


@dataclass(frozen=True)
class Hosted:
    """What came of it: the Protons, and for each service in trouble what an operator should know."""

    registry: Registry
    problems: dict[str, list[str]] = field(default_factory=dict)


class Hosting:
    """Hosts the services of a catalog and of the database."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        outbox: Outbox,
        keys: Keys,
        controllers: ControllersByService = NO_CONTROLLERS,
    ) -> None:
        self._conf = conf
        self._controllers = controllers
        self._database = database
        self._outbox = outbox
        self._keys = keys
        self._schema = Schema(database)
        self._applied = AppliedModels(database.dialect)
        self._managers = Managers()

    async def host(self, catalog: Catalog, wanted: Sequence[str]) -> Hosted:
        """Serve the `wanted` services (empty: all that there are).

        A service that can't be served is left out with its problems; the others are not touched by it.
        Raises HostingError for a wanted service that nobody has heard of, for a models folder that is not
        there, and for controllers of what is no service with ports.
        """
        for problem in catalog.problems.get("", ()):
            raise HostingError(f"[api] models_dir: {problem}")
        await self._schema.prepare()
        stored, unreadable = await self._stored_models()
        known = {*catalog.services, *catalog.problems, *stored, *unreadable}
        for name in wanted:
            if name not in known:
                raise HostingError(
                    f"[api] service_list names {name!r}, which is no service{did_you_mean(name, known)}; "
                    f"there are {', '.join(sorted(known))}"
                )
        for name in self._controllers.services:
            if name not in known:
                raise HostingError(
                    f"[controllers] names {name!r}, which is no service{did_you_mean(name, known)}"
                )
        hosted = Hosted(Registry())
        protons: dict[str, dict[str, Proton]] = {}
        for service in sorted(wanted or known):
            problems = [str(p) for p in catalog.problems.get(service, ()) if p.severity == "error"]
            if service in unreadable:
                problems.append(unreadable[service])
            model = self._model_to_serve(service, catalog, stored, problems)
            if model is not None and service not in unreadable:
                try:
                    proton = await self._proton(model, problems)
                    protons[service] = {proton.model.version_id: proton}
                except Exception as error:  # noqa: BLE001 - one service must not keep the others from starting
                    _log.exception("service %s can't be served", service)
                    problems.append(f"can't be served: {error}")
            if problems:
                hosted.problems[service] = problems
                for text in problems:
                    _log.error("service %s: %s", service, text)
        for service, versions in protons.items():
            if service in self._controllers.services and not any(p.model.port for p in versions.values()):
                raise HostingError(f"[controllers] names {service!r}, which has no ports to be applied")
        return Hosted(Registry(protons), hosted.problems)

    async def _stored_models(self) -> tuple[dict[str, Model], dict[str, str]]:
        """The models that the database's tables were made for, and why some can't be read."""

        async def work(tx: Transaction) -> list[AppliedModel]:
            return await self._applied.all(tx)

        models: dict[str, Model] = {}
        unreadable: dict[str, str] = {}
        for applied in await self._database.read(work):
            try:
                models[applied.service] = model_from_document(applied.document)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                unreadable[applied.service] = f"the model in the database can't be read: {error!r}"
        return models, unreadable

    @staticmethod
    def _model_to_serve(
        service: str, catalog: Catalog, stored: dict[str, Model], problems: list[str]
    ) -> Model | None:
        from_file = catalog.newest(service) if catalog.services.get(service) else None
        from_database = stored.get(service)
        if from_database is None:
            return from_file
        if from_file is not None and from_file.digest != from_database.digest:
            problems.append(_differs(from_file, from_database))
        return from_database

    async def _proton(self, model: Model, problems: list[str]) -> Proton:
        try:
            schema = await self._schema.install(model, self._publish)
        except ModelDiffers:
            # Since we looked, another server has made the tables, for a file of its own.
            stored, _ = await self._stored_models()
            problems.append(_differs(model, stored[model.service]))
            model = stored[model.service]
            schema = await self._schema.install(model, self._publish)
        dialect = self._database.dialect
        objects = {
            name: HostedObject(model, repository.object, repository, ObjectValidator(repository.object))
            for name, repository in repositories(schema, dialect).items()
        }
        return Proton(
            model,
            objects,
            Authorizer(self._conf, model),
            Identities(schema.identities, dialect) if schema.identities is not None else None,
            self._managers.load(model.service),
        )

    async def _publish(self, tx: Transaction, model: Model) -> None:
        """Tell the shims of a model, in the transaction that makes its tables."""
        controllers = self._controllers.required(model.service)
        value = model_value(model.service, model.version, model.digest, model.document, controllers)
        await self._outbox.add(tx, [(self._keys.model(model.service, model.version), value)])


def _differs(from_file: Model, from_database: Model) -> str:
    return (
        f"the file has version {from_file.version} ({from_file.digest[:12]}); served is version "
        f"{from_database.version} ({from_database.digest[:12]}), which the database was made for"
    )
