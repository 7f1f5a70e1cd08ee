"""The shim server: takes its name, learns models from etcd, and drives each service that it has a backend
for.

Life of a service: its model appears in etcd → a handler names its backend → a `ServiceShim` is made and run
→ the model gets a newer version → that one ends, and another is made with the new model, as after a
restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from gluon import __version__
from gluon.etcd.acceptance import UnsafeVersion, refuse_unsafe_version
from gluon.etcd.backoff import Backoff
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror
from gluon.model.catalog import version_order
from gluon.model.model import Model
from gluon.model.resolution import model_from_document
from gluon.shim.errors import BadConfiguration, UnusableEtcd
from gluon.shim.extensions import Extensions
from gluon.shim.metrics import ShimMetrics
from gluon.shim.presence import Presence
from gluon.shim.rate_limit import RateLimit
from gluon.shim.service import ServiceShim
from gluon.shim.settings import ShimSettings
from gluon.shim.wishes import Wishes
from gluon.shim.writes import Writes
from gluon.telemetry.listener import Listener
from gluon.telemetry.tracing import open_tracer

_log = logging.getLogger(__name__)


class ShimServer:
    """One process beside its controllers. `run` it once; `stop` has it end in order."""

    def __init__(self, settings: ShimSettings, extensions: Extensions) -> None:
        self._settings = settings
        self._extensions = extensions
        self._keys = Keys(settings.etcd.prefix)
        self._etcd = settings.etcd.connect()
        self._presence = Presence(
            self._etcd, self._keys.controller(settings.name), settings.lease_ttl, self._name_held
        )
        self._limit = RateLimit(settings.rate_limit)
        self._writes = Writes(self._etcd, self._presence.guard)
        self._models = Mirror(self._etcd, self._keys.models(), self._models_changed)
        self._tracer = open_tracer(settings.tracing, "proton-shim-server")
        self._metrics = ShimMetrics()
        self._metrics.etcd.follow(self._etcd)
        self._metrics.catalogue.call(self._show)
        self._changed = asyncio.Event()
        self._served: dict[str, tuple[Model, asyncio.Task[None]]] = {}
        self._shims: dict[str, ServiceShim] = {}
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._stop = asyncio.Event()

    def service(self, name: str) -> ServiceShim | None:
        """What drives a service now."""
        return self._shims.get(name)

    async def run(self) -> None:
        """Serve until `stop`. Raises NameTaken, UnusableEtcd, and BadConfiguration for a taken port."""
        listener = self._listen()
        try:
            await self._serve_all()
        finally:
            if listener is not None:
                await asyncio.to_thread(listener.stop)
            if self._tracer is not None:
                await asyncio.to_thread(self._tracer.close)

    async def _serve_all(self) -> None:
        _log.info("shim server %s, etcd at %s", self._settings.name, self._etcd.endpoint)
        try:
            known = await self._etcd_is_usable()
        except UnusableEtcd:
            await self._etcd.close()
            raise
        if not known:
            _log.warning("etcd at %s doesn't answer; waiting for it", self._etcd.endpoint)
        await self._tell()
        presence = asyncio.create_task(self._presence.run(), name="shim-presence")
        work = asyncio.create_task(self._work(etcd_is_known=known), name="shim-work")
        stopping = asyncio.create_task(self._stop.wait(), name="shim-stopping")
        try:
            await asyncio.wait((presence, work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                # With our name still ours, so that what is under way can be written down.
                await asyncio.gather(*(shim.stop() for shim in self._shims.values()))
        finally:
            work.cancel()
            stopping.cancel()
            self._presence.stop()
            await asyncio.wait((presence, work, stopping))
            await self._etcd.close()
        for task in (presence, work):
            if not task.cancelled():
                task.result()
        _log.info("shim server %s has ended", self._settings.name)

    def stop(self) -> None:
        """Have `run` return, after the callbacks under way, or after some seconds."""
        self._stop.set()

    def _listen(self) -> Listener | None:
        settings = self._settings
        if not settings.metrics_port:
            return None
        listener = Listener(self._metrics.catalogue, settings.metrics_host, settings.metrics_port)
        try:
            port = listener.start()
        except OSError as error:
            raise BadConfiguration(
                f"[shim] metrics_port: can't listen on {settings.metrics_host} port {settings.metrics_port}: "
                f"{error.strerror or error}"
            ) from error
        _log.info("metrics on %s port %d", settings.metrics_host, port)
        return listener

    async def _work(self, *, etcd_is_known: bool) -> None:
        # Nothing is touched before it is sure that nobody else does so by our name.
        await self._presence.lease()
        if not etcd_is_known:
            await self._etcd_is_usable()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writes.run())
            tasks.create_task(self._models.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                for service, model in self._newest_models().items():
                    await self._serve(service, model, tasks)

    async def _etcd_is_usable(self) -> bool:
        """False when that isn't known, because etcd is away. Raises UnusableEtcd."""
        try:
            return await refuse_unsafe_version(self._etcd, allowed=self._settings.etcd.allow_unsafe_version)
        except UnsafeVersion as error:
            raise UnusableEtcd(str(error)) from error

    def _models_changed(self, changes: Sequence[Change]) -> None:
        self._changed.set()

    def _newest_models(self) -> dict[str, Model]:
        """The newest model of each service that we have a backend for."""
        found: dict[str, dict[str, bytes]] = {}
        for key, value in self._models.items():
            segments = self._keys.parse(key).segments
            if len(segments) == 3 and self._settings.backend_for(segments[1]) is not None:
                found.setdefault(segments[1], {})[segments[2]] = value
        newest = {}
        for service, versions in found.items():
            version = max(versions, key=version_order)
            try:
                newest[service] = model_from_document(msgspec.json.decode(versions[version])["model"])
            except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
                _log.error("the model of %s in version %s can't be read: %r", service, version, error)
        return newest

    async def _serve(self, service: str, model: Model, tasks: asyncio.TaskGroup) -> None:
        """Have a service driven by this model. One whose model went away is driven on by its last one."""
        served = self._served.get(service)
        if served is not None:
            known, task = served
            if known.digest == model.digest:
                return
            _log.info("%s: the model is now version %s", service, model.version)
            if service in self._shims:
                await self._shims[service].stop()
            else:
                task.cancel()
            await asyncio.wait((task,))
        self._served[service] = model, tasks.create_task(self._keep_serving(model), name=f"shim-{service}")

    async def _keep_serving(self, model: Model) -> None:
        """One service's faults are none of the others': what fails is logged, and started anew."""
        service, backoff = model.service, Backoff(first=1.0, limit=60.0)
        backend_name = self._settings.backend_for(service)
        assert backend_name is not None
        while True:
            try:
                wishes = Wishes()
                backend = self._extensions.backend(backend_name, service, self._settings.name, wishes)
                api_model = self._extensions.api_model(model, self._settings.admin_tenants)
                shim = ServiceShim(
                    *(self._settings, self._etcd, self._keys, self._presence, self._writes),
                    *(api_model, backend, self._metrics, self._tracer),
                    limit=self._limit,
                    wishes=wishes,
                )
                await self._run(shim)
                return
            # A vendor's constructor, or a bug of ours: either way the other services go on.
            except Exception as error:  # noqa: BLE001
                delay = backoff.delay()
                _log.error("%s: can't be served, trying again in %.3g s", service, delay, exc_info=error)
            await asyncio.sleep(delay)

    async def _run(self, shim: ServiceShim) -> None:
        self._shims[shim.service] = shim
        running = asyncio.ensure_future(shim.run())
        started = asyncio.ensure_future(shim.started.wait())
        try:
            await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                await self._tell()
            await running
        finally:
            del self._shims[shim.service]
            for task in (running, started):
                task.cancel()
            await asyncio.wait((running, started))

    def _show(self) -> None:
        """Have the metrics show how all is now; called by the thread that answers for them."""
        metrics = self._metrics
        metrics.name_held.set(self._presence.is_held)
        metrics.lease_losses.show(self._presence.losses)
        metrics.etcd.look_at(self._models, "models")
        for service in tuple(self._served):
            shim = self._shims.get(service)
            if shim is None:
                metrics.serving.labels(service).set(0)
            else:
                shim.show()

    def _name_held(self) -> None:
        for shim in self._shims.values():
            shim.claim_again()

    async def _tell(self) -> None:
        """Say under our name what we do."""
        services = sorted(name for name, shim in self._shims.items() if shim.started.is_set())
        handlers = {service: self._settings.backend_for(service) for service in services}
        await self._presence.say(
            {
                "name": self._settings.name,
                "hosts": sorted(self._settings.hosts),
                "services": services,
                "backend": ", ".join(sorted(set(self._settings.handlers.values()))),
                "handlers": handlers,
                "version": __version__,
                "started_at": self._started_at,
            }
        )
