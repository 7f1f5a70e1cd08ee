"""One Proton Server: its parts put together, started in order, and stopped in the reverse order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from oslo_config import cfg

from gluon.etcd.acceptance import refuse_unsafe_version
from gluon.etcd.keys import Keys
from gluon.model.catalog import load_catalog
from gluon.proton.answer import Answer
from gluon.proton.answers import AnswerWatcher, WaitingBind
from gluon.proton.audit import AuditLog
from gluon.proton.bind_waits import BindWaits
from gluon.proton.binder import Binder
from gluon.proton.documents import EtcdDocuments
from gluon.proton.door import Door
from gluon.proton.feeds import Feeds
from gluon.proton.health import Health
from gluon.proton.hosting import Hosted, Hosting
from gluon.proton.identity import AuthStrategy, NoAuth
from gluon.proton.metrics import ServerMetrics
from gluon.proton.observers import Observers
from gluon.proton.open_binds import OpenBinds
from gluon.proton.operations import Operations
from gluon.proton.options import Settings
from gluon.proton.participation import Participation
from gluon.proton.pending_bind import PendingBind
from gluon.proton.port_bindings import PortBindings
from gluon.proton.presence import Presence
from gluon.proton.reads import Reads
from gluon.proton.registry import HostedObject, Registry
from gluon.proton.relay import Relay
from gluon.proton.relay_traces import RelayTraces
from gluon.proton.resync import Resync
from gluon.proton.resync_keeper import ResyncKeeper
from gluon.proton.sampling import Parts, Sampling
from gluon.proton.settling import Settling
from gluon.proton.vital_signs import VitalSigns
from gluon.proton.web.app import AsgiApp, make_app
from gluon.store.database import Transaction, open_database
from gluon.store.etcd_memory import EtcdMemory
from gluon.store.outbox import Outbox
from gluon.store.paging import Row
from gluon.telemetry.tracing import open_tracer

_log = logging.getLogger(__name__)

_HEAD_START = 0.5
"""Seconds that the server whose request waits for an answer has to take it, before others look after it."""


class ProtonServer:
    """A server's parts; `app` is its ASGI application, to be served between `start` and `stop`."""

    def __init__(
        self, conf: cfg.ConfigOpts, settings: Settings, default_url: str, auth: AuthStrategy | None = None
    ) -> None:
        """`default_url` is where the server can be reached if the settings have no `public_url`."""
        self.public_url = settings.public_url or default_url
        self._settings = settings
        self._hosted = Hosted(Registry())
        self._keys = Keys(settings.etcd.prefix)
        self._etcd = settings.etcd.connect()
        self._database = open_database(settings.database_url, options=settings.database)
        self._outbox = outbox = Outbox(self._database.dialect)
        documents = EtcdDocuments(self._keys, self.public_url)
        self._hosting = Hosting(conf, self._database, outbox, self._keys, settings.controllers)
        self._metrics = metrics = ServerMetrics()
        metrics.etcd.follow(self._etcd)
        self._tracer = tracer = open_tracer(settings.tracing, "proton-server")
        watching = Observers(metrics, tracer)
        waits = BindWaits(watching.bind_ended)
        audit = AuditLog(enabled=settings.audit.enabled)
        door = Door(self._database, outbox, documents, audit, watching.written)
        operations = Operations(self._database, door, audit)
        bindings = PortBindings(self._database, operations, settings.controllers)
        self._settling = Settling(self._database, door)
        self._binder = Binder(operations, bindings, self._settling, waits, settings.bind_timeout)
        memory = EtcdMemory(self._database.dialect)
        self._relay = Relay(
            self._database,
            outbox,
            self._etcd,
            self._keys,
            memory=memory,
            on_history_lost=self._history_lost,
            on_batch=metrics.relayed,
            traces=RelayTraces(self._keys, tracer) if tracer is not None else None,
        )
        self._resync = ResyncKeeper(
            self._database,
            outbox,
            memory,
            Resync(
                self._database,
                outbox,
                self._etcd,
                self._keys,
                self.public_url,
                own_url_counts=settings.public_url is not None,
                controllers=settings.controllers,
            ),
            lambda: self._relay.is_leader,
        )
        head_start = _HEAD_START if self._database.shared else 0.0
        self._participation = Participation(
            *(self._etcd, self._keys, self._database, self._settling, waits, settings.controllers),
            self._port_objects,
            head_start=head_start,
        )
        self._answers = AnswerWatcher(
            self._etcd,
            self._keys,
            waits,
            self._take_answer,
            self._waiting_binds,
            head_start=head_start,
        )
        self._presence = Presence(
            self._etcd, self._keys, self._registry().digests(), bind_timeout=settings.bind_timeout
        )
        self._open_binds = OpenBinds(
            self._binder, self._pending_binds, self._presence.longest_bind_timeout, settings.bind_timeout
        )
        self.feeds = Feeds(self._etcd, settings.max_watchers)
        self._sampling = Sampling(
            metrics,
            Parts(
                *(self._database, outbox, self._relay, self._resync, self._answers, waits),
                *(self.feeds, self._registry),
            ),
        )
        signs = VitalSigns(self._database, outbox, self._etcd, lambda: self._hosted, lambda: self._leaving)
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._stopping = False
        self.broken = asyncio.Event()
        """Set when a part that should run for as long as the server does has ended."""
        self.app: AsgiApp = make_app(
            settings=settings,
            public_url=settings.public_url,
            auth=auth or NoAuth(),
            registry=self._registry,
            reads=Reads(self._database, operations),
            binder=self._binder,
            bindings=bindings,
            feeds=self.feeds,
            health=Health(
                {
                    "database": signs.database,
                    "etcd": signs.etcd,
                    "models": signs.models,
                    "relay": self._relay.health,
                    "resync": self._resync.health,
                    "answers": self._answers.health,
                },
                signs.conditions(),
            ),
            metrics=metrics,
            tracer=tracer,
            sampling=self._sampling,
            etcd=self._etcd,
            keys=self._keys,
        )

    async def start(self) -> None:
        """Open the database, host the services, and start what runs beside the requests.

        etcd may be away: writes are accepted, and reach it when it is back. Raises DatabaseError,
        HostingError and UnsafeVersion.
        """
        await refuse_unsafe_version(self._etcd, allowed=self._settings.etcd.allow_unsafe_version)
        await self._database.start()
        catalog = load_catalog(self._settings.models_dir)
        self._hosted = await self._hosting.host(catalog, self._settings.services)
        self._presence.publish(self._registry().digests())
        for part in (
            self._answers,
            self._participation,
            self._relay,
            self._resync,
            self._presence,
            self._open_binds,
            self._sampling,
        ):
            task = asyncio.create_task(part.run(), name=type(part).__name__)
            task.add_done_callback(self._part_ended)
            self._tasks.append(task)

    def leave(self) -> None:
        """Be no longer ready: load balancers look for another server, before this one stops listening."""
        self._leaving = True

    async def stop(self) -> None:
        """Stop everything; the relay hands over at once, and what it had not sent stays in the outbox."""
        self._leaving = self._stopping = True
        for part in (
            self._sampling,
            self._open_binds,
            self._presence,
            self._resync,
            self._relay,
            self._participation,
            self._answers,
        ):
            part.stop()
        await self.feeds.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._database.close()
        await self._etcd.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)

    async def _history_lost(self) -> None:
        await self._resync.history_lost()

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        _log.critical("%s has ended by itself; the server ends too", task.get_name(), exc_info=error)
        self.broken.set()

    def _registry(self) -> Registry:
        return self._hosted.registry

    def _port_object(self, service: str) -> HostedObject | None:
        proton = self._registry().current(service)
        if proton is None or proton.model.port is None:
            return None
        return proton.objects[proton.model.port.name]

    async def _take_answer(self, service: str, object_name: str, port_id: str, answer: Answer) -> Row | None:
        hosted = self._port_object(service)
        if hosted is None or hosted.api.name != object_name:
            return None
        participation = self._participation
        is_applied = await participation.is_applied(hosted, port_id, answer.bind_id)
        row = await self._settling.take_answer(hosted, port_id, answer, is_applied=is_applied)
        if row is not None and not is_applied:
            # A controller may have written its word between that look and the commit.
            participation.look_at(hosted, port_id)
        return row

    def _port_objects(self) -> list[HostedObject]:
        found = [self._port_object(service) for service in self._registry().protons]
        return [hosted for hosted in found if hosted is not None]

    async def _waiting_binds(self) -> Collection[WaitingBind]:
        async def work(tx: Transaction) -> list[WaitingBind]:
            return [
                WaitingBind(hosted.model.service, *bind)
                for hosted in self._port_objects()
                for bind in await hosted.ports.unanswered(tx)
            ]

        return await self._database.read(work)

    async def _pending_binds(self) -> list[PendingBind]:
        async def work(tx: Transaction) -> list[PendingBind]:
            return [
                PendingBind(hosted, *bind)
                for hosted in self._port_objects()
                for bind in await hosted.ports.pending(tx)
            ]

        return await self._database.read(work)
