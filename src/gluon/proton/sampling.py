"""Reads what the parts of a server count by themselves into its metrics, before these are shown.

A worker among others does so all the time: another one may be asked, and shows what was read last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gluon.proton.answers import AnswerWatcher
from gluon.proton.bind_waits import BindWaits
from gluon.proton.feeds import Feeds
from gluon.proton.metrics import ServerMetrics
from gluon.proton.registry import Registry
from gluon.proton.relay import Relay
from gluon.proton.resync_keeper import ResyncKeeper
from gluon.store.database import Database, DatabaseError
from gluon.store.networked import NetworkedDatabase
from gluon.store.outbox import Outbox, OutboxState

INTERVAL = 5.0
"""Seconds between two looks of a worker; those who ask do so less often."""

_PATIENCE = 2.0
"""Seconds that the database may take for the state of the outbox; the other metrics wait for it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is read."""

    database: Database
    outbox: Outbox
    relay: Relay
    resync: ResyncKeeper
    answers: AnswerWatcher
    waits: BindWaits
    feeds: Feeds
    registry: Callable[[], Registry]


class Sampling:
    """Shows a server's metrics. `run` it for as long as the server does."""

    def __init__(self, metrics: ServerMetrics, parts: Parts) -> None:
        self._metrics = metrics
        self._parts = parts
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Sample now and then until `stop` or cancelled, where other workers show our metrics."""
        while not self._stop.is_set():
            if self._metrics.catalogue.is_shared:
                self._sample()
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._stop.wait()
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.set()

    async def text(self) -> bytes:
        """The metrics of now, those of other workers as of their last look."""
        self._metrics.show_outbox(await self._outbox_state())
        self._sample()
        return await asyncio.to_thread(self._metrics.catalogue.text)

    async def _outbox_state(self) -> OutboxState | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._parts.database.read(self._parts.outbox.state)
        except (DatabaseError, TimeoutError):
            return None

    def _sample(self) -> None:
        metrics, parts = self._metrics, self._parts
        relay, answers = parts.relay, parts.answers
        metrics.binds_waiting.set(len(parts.waits))
        metrics.leader.set(relay.is_leader)
        metrics.relay_batches.show(relay.counters.batches)
        metrics.relay_rows.show(relay.counters.rows)
        metrics.relay_failures.show(relay.counters.failures)
        metrics.relay_set_aside.show(relay.counters.set_aside)
        metrics.relay_terms.show(relay.terms)
        metrics.relay_fenced.show(relay.counters.fenced)
        metrics.relay_overtaken.show(relay.counters.overtaken)
        resync = parts.resync.counters
        metrics.resyncs.show(resync.runs, "done")
        metrics.resyncs.show(resync.failures, "failed")
        metrics.resync_repaired.show(resync.repaired)
        metrics.resync_left.set(max(0, resync.total - resync.done))
        metrics.answers.show(answers.counters.taken, "taken")
        metrics.answers.show(answers.counters.stale, "stale")
        metrics.answers.show(answers.counters.malformed, "malformed")
        metrics.answers_failing.set(len(answers.counters.failing))
        metrics.etcd.look_at(answers.mirror, "answers")
        if isinstance(parts.database, NetworkedDatabase):
            counters = parts.database.counters
            metrics.contentions.show(counters.contentions)
            metrics.connections_lost.show(counters.connections_lost)
            metrics.looked_up.show(counters.outcomes_looked_up)
        watches = parts.feeds.counters
        metrics.watchers.set(watches.watchers)
        metrics.feeds.set(watches.feeds)
        metrics.watches.show(watches.opened, "opened")
        metrics.watches.show(watches.refused, "refused")
        metrics.watches.show(watches.dropped, "dropped")
        metrics.watches.show(watches.too_old, "too_old")
        metrics.watch_events.show(watches.events)
        metrics.show_models(parts.registry().digests())
        metrics.catalogue.sample()
