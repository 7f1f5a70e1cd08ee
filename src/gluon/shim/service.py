"""One service at one backend: from etcd's objects to callbacks, from the start to an orderly end.

The start: read the own journal, list objects and claims and follow them → what differs from the journal
is queued, deletions included → the backend is started and may reconcile → the queue is worked on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror
from gluon.etcd.stopping import run_until
from gluon.model.model import Role
from gluon.shim.binder import PortBinder
from gluon.shim.binds import holds_port
from gluon.shim.callbacks import Callbacks, Ended
from gluon.shim.claims import Claims
from gluon.shim.inventory import Inventory
from gluon.shim.journal import Journal
from gluon.shim.metrics import ShimMetrics
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.objects import DesiredState, Objects
from gluon.shim.presence import Presence
from gluon.shim.rate_limit import RateLimit
from gluon.shim.reconciler import Reconciler
from gluon.shim.settings import ShimSettings
from gluon.shim.shelf import ObjectId, Stored, object_id_of
from gluon.shim.traces import CallbackTraces
from gluon.shim.views import View
from gluon.shim.wishes import Wishes
from gluon.shim.work_queue import WorkQueue
from gluon.shim.writes import Writes

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer

_LAST_WORK = 5.0
"""Seconds that callbacks under way get to end in, when the service stops."""

_RETURN_OF_HISTORY = 60.0
"""Seconds after etcd was wiped or restored, in which an object that isn't there is not taken for deleted: the
Proton Server writes everything anew."""

_AT_ONCE = 1_000
"""Objects looked at, before other work gets its turn."""

_log = logging.getLogger(__name__)


class ServiceShim:
    """Drives one backend for one service. `run` it once; `stop` has it end in order."""

    def __init__(
        self,
        settings: ShimSettings,
        etcd: Etcd,
        keys: Keys,
        presence: Presence,
        writes: Writes,
        api_model: GenericApiModel,
        backend: Any,
        metrics: ShimMetrics,
        tracer: Tracer | None,
        *,
        limit: RateLimit,
        wishes: Wishes,
    ) -> None:
        service = api_model.model.service
        self.service = service
        self.api_model = api_model
        self.started = asyncio.Event()
        """Set when the backend is started and the queue is worked on."""
        self.inventory = Inventory(api_model.terms)
        self.journal = Journal(keys, service, settings.name, settings.backend_for(service), writes)
        self.queue: WorkQueue[ObjectId] = WorkQueue(lambda object_id: api_model.rank(object_id.object_name))
        self._parallel = min(settings.parallel, getattr(backend, "parallel", None) or settings.parallel)
        self._reconcile_interval = settings.reconcile_interval
        self._wishes = wishes
        self._etcd = etcd
        self._keys = keys
        self._metrics = metrics
        self._traces = CallbackTraces(etcd, keys, service, settings.name, tracer) if tracer else None
        self._callbacks = Callbacks(
            backend,
            timeout=settings.callback_timeout,
            parallel=self._parallel,
            observe=self._calling,
            limit=limit,
        )
        self._mirror = Mirror(etcd, keys.objects(service), self._changed, keep_values=False)
        self._claims = Claims(etcd, keys, service, settings.name, self._released)
        self._binder = PortBinder(
            service, settings, keys, self._callbacks, self._claims, self.journal, writes, presence
        )
        objects = Objects(api_model, self.inventory)
        self._desired = DesiredState(objects, self.inventory, self.journal)
        self._reconciler = Reconciler(
            *(service, api_model, self.inventory, objects, self.journal),
            *(self.queue, self._callbacks, self._binder),
        )
        self._follows = False
        self._losses = 0
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop`. Raises what is a fault of the shim's own; a backend's faults are retried."""
        try:
            await run_until(self._stop, self._serve())
        finally:
            self.started.clear()
            self.queue.close()
            await self._stop_backend()

    async def stop(self) -> None:
        """Have `run` return, after the callbacks under way, or after some seconds."""
        self.queue.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORK):
                await self.queue.idle()
        self._stop.set()

    def show(self) -> None:
        """Have the metrics show how the service does now."""
        metrics, service = self._metrics, self.service
        metrics.serving.labels(service).set(self.started.is_set())
        metrics.show_queue(service, self.queue.depths)
        metrics.show_states(service, self.journal.states)
        metrics.retries.show(self.queue.retries, service)
        metrics.claims.labels(service).set(self._binder.claims)
        metrics.stored.labels(service).set(len(self.inventory.live))
        metrics.etcd.look_at(self._mirror, "objects", service)
        metrics.etcd.look_at(self._claims.mirror, "claims", service)
        if self._traces is not None:
            metrics.etcd.look_at(self._traces.mirror, "traces", service)

    def claim_again(self) -> None:
        """The lease that our claims were under is lost: take them anew."""
        for object_id in tuple(self.journal.ids()):
            entry = self.journal.get(object_id)
            if entry is not None and holds_port(entry):
                self.queue.add(object_id)

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            mirrors = (self._mirror, self._claims.mirror)
            for mirror in mirrors:
                tasks.create_task(mirror.run())
            if self._traces is not None:
                tasks.create_task(self._traces.run())
            await self._read_journal()
            for mirror in mirrors:
                await mirror.synced.wait()
            self._losses = self._histories_lost()
            # From here on changes are queued, so that none is missed between what follows and the work.
            self._follows = True
            await self._until_it_works("start", lambda: self._callbacks.call("start"))
            # What is wished for before is what is about to be done.
            self._wishes.forget()
            await self._reconcile(tasks)
            await self._queue_differences(replay=self._callbacks.replay)
            for _ in range(self._parallel):
                tasks.create_task(self._reconciler.work())
            tasks.create_task(self._look_again())
            self.started.set()
            _log.info("%s: serving %d objects", self.service, len(self.inventory.live))

    async def _read_journal(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async for page in self._etcd.pages(self.journal.prefix):
                    for item in page.items:
                        self._load(item)
                return
            except EtcdError as error:
                _log.debug("%s: the journal can't be read yet: %s", self.service, error)
                await backoff.pause()

    def _load(self, item: Any) -> None:
        try:
            self.journal.load(item, self._kept)
        except ValueError as error:
            _log.error("%s: ignoring a journal entry: %s", self.service, error)

    async def _queue_differences(self, *, replay: bool) -> None:
        """Have all objects worked on that differ from the journal, or, to `replay`, all.

        What changes meanwhile goes before.
        """
        for number, object_id in enumerate(tuple(self.inventory.live.ids())):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            stored = self.inventory.live.get(object_id)
            if replay and self.journal.get(object_id) is not None:
                self._reconciler.apply_again(object_id)
            if stored is None or self._reconciler.is_settled(object_id, stored):
                continue
            if self._is_bind(object_id, stored):
                self.queue.add(object_id, urgent=True)
            else:
                self.queue.add_late(object_id)
        for object_id in tuple(self.journal.ids()):
            entry = self.journal.get(object_id)
            known = object_id.object_name in self.api_model.model.objects
            if known and entry is not None and self.inventory.live.get(object_id) is None:
                self.inventory.departed.put(object_id, Stored(entry.applied, 0))
                self.queue.add_late(object_id)

    def _changed(self, changes: Sequence[Change]) -> None:
        if self._follows and self._histories_lost() != self._losses:
            self._losses = self._histories_lost()
            self._history_lost()
        for change in changes:
            segments = self._keys.parse(change.key).segments
            if len(segments) != 3 or segments[1] not in self.api_model.model.objects:
                continue  # Of a version of the model that we don't know.
            try:
                self._take(object_id_of(segments), change)
            except (msgspec.DecodeError, TypeError) as error:
                _log.error("%s: ignoring %s: %s", self.service, change.key, error)

    def _take(self, object_id: ObjectId, change: Change) -> None:
        if change.value is None:
            self.inventory.depart(object_id)
            now = None
        else:
            now = Stored(self._shared(object_id, change.value), change.mod_revision)
            self.inventory.put(object_id, now)
        if not self._follows:
            return
        self.queue.add(object_id, urgent=now is not None and self._is_bind(object_id, now))
        for other in self.api_model.affected(self.inventory, object_id):
            self.queue.add(other)

    def _kept(self, object_id: ObjectId) -> bytes | None:
        stored = self.inventory.live.get(object_id)
        return stored.raw if stored is not None else None

    def _shared(self, object_id: ObjectId, raw: bytes) -> bytes:
        """The same bytes, once in memory."""
        entry = self.journal.get(object_id)
        return entry.applied if entry is not None and entry.applied == raw else raw

    def _is_bind(self, object_id: ObjectId, stored: Stored) -> bool:
        if self.api_model.model.objects[object_id.object_name].role is not Role.PORT:
            return False
        binds, entry = self._binder.wants(stored), self.journal.get(object_id)
        known = {(b.bind_id, b.active) for b in entry.bindings} if entry is not None else ()
        # New ones, and those that become the active one.
        return any((b.bind_id, True) not in known and (b.bind_id, b.active) not in known for b in binds)

    def _released(self, port_key: str) -> None:
        """Another controller lets go of a port: it may be ours to bind, or may come to a host of ours."""
        port = self.api_model.model.port
        if self._follows and port is not None:
            object_id = ObjectId(port.name, port_key)
            if self.inventory.live.get(object_id) is not None:
                self.queue.add(object_id)

    def _calling(self, name: str, arguments: tuple[Any, ...]) -> Ended:
        called = self._traces.calling(name, self._stored(arguments)) if self._traces is not None else None

        def ended(seconds: float, error: Exception | None) -> None:
            self._metrics.called(self.service, name, seconds, error)
            if called is not None:
                called(seconds, error)

        return ended

    def _stored(self, arguments: tuple[Any, ...]) -> tuple[ObjectId, int] | None:
        """The object that a callback is about, and etcd's revision of it; None for one that goes."""
        if len(arguments) != 1 or not isinstance(arguments[0], View):
            return None
        object_id = arguments[0].object_id
        stored = self.inventory.live.get(object_id)
        return (object_id, stored.mod_revision) if stored is not None else None

    def _histories_lost(self) -> int:
        return self._etcd.history.losses + self._mirror.counters.histories_lost

    def _history_lost(self) -> None:
        _log.warning(
            "%s: etcd was wiped or restored: nothing is deleted for %d s", self.service, _RETURN_OF_HISTORY
        )
        self._reconciler.hold_deletions(_RETURN_OF_HISTORY)
        for object_id in tuple(self.journal.ids()):
            self._reconciler.write_again(object_id)
            self.queue.add(object_id)

    async def _reconcile(self, tasks: asyncio.TaskGroup) -> None:
        """Give the backend one undisturbed look; should it fail, it gets others while work goes on."""

        def call() -> Awaitable[Any]:
            return self._callbacks.call("reconcile", self._desired)

        try:
            await call()
        # A vendor's code may raise anything; strays can wait, the ports can't.
        except Exception as error:  # noqa: BLE001
            _log.error("%s: reconcile failed, trying again meanwhile", self.service, exc_info=error)
            tasks.create_task(self._until_it_works("reconcile", call))

    async def _look_again(self) -> None:
        """Reconcile again and again, and whenever the backend wants it."""
        while True:
            replay = await self._wishes.next(self._reconcile_interval or None)
            await self._until_it_works("reconcile", lambda: self._callbacks.call("reconcile", self._desired))
            if replay:
                _log.info("%s: the backend wants everything to be applied again", self.service)
                await self._queue_differences(replay=True)

    async def _until_it_works(self, name: str, call: Callable[[], Awaitable[Any]]) -> None:
        backoff = Backoff(first=1.0, limit=60.0)
        while True:
            try:
                await call()
                return
            # A vendor's code may raise anything, most of it because its controller is away for now.
            except Exception as error:  # noqa: BLE001
                delay = getattr(error, "delay", None) or backoff.delay()
                _log.error("%s: %s failed, trying again in %.3g s", self.service, name, delay, exc_info=error)
            await asyncio.sleep(delay)

    async def _stop_backend(self) -> None:
        try:
            await self._callbacks.call("stop")
        # Whatever a vendor's code raises, the shim ends all the same, and lets go of its claims.
        except Exception as error:  # noqa: BLE001
            _log.error("%s: stop failed", self.service, exc_info=error)
        self._callbacks.close()
