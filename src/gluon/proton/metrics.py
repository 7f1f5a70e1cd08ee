"""The metrics of a Proton Server.

What happens often is observed where it happens, on a metric that was looked up before. What parts of the
server count by themselves is read when the metrics are asked for. Labels hold names of models, routes and
methods, never ids of objects: how many series there are doesn't depend on how many objects there are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gluon.proton.batch import Batch
from gluon.proton.errors import RequestError
from gluon.store.database import ConstraintViolation, InvalidValue, OutcomeUnknown
from gluon.store.outbox import OutboxState
from gluon.telemetry.catalogue import Catalogue, Children, Followed
from gluon.telemetry.etcd_metrics import EtcdMetrics

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BIND_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_NONE = float("nan")


class ServerMetrics:
    """What a server observes of itself."""

    def __init__(self) -> None:
        self.catalogue = catalogue = Catalogue()
        self.etcd = EtcdMetrics(catalogue)
        self._requests = catalogue.histogram(
            "gluon_http_request_seconds",
            "Requests answered, by method, route (a template: no ids) and class of the status (2xx). A "
            "request that binds a port waits for its controller; of a watch only the beginning counts.",
            "method",
            "route",
            "status",
        )
        # Method, route and status as they come: the label's text is made once for each.
        self._by_request: dict[tuple[str, str | None, int], Any] = {}
        commits = catalogue.histogram(
            "gluon_commit_seconds",
            "Transactions that change objects, from the wait for a connection to the commit: committed, "
            "refused (the change was wrong, or not allowed), failed (nothing was written), unknown (nobody "
            "could tell).",
            "result",
        )
        self._commits = Children(commits)
        self._lag = catalogue.histogram(
            "gluon_relay_lag_seconds",
            "Of each batch of the relay: from when its oldest change was written until etcd had it.",
        )
        binds = catalogue.histogram(
            "gluon_bind_seconds",
            "Waits for a controller's answer: bound, refused, timed_out, superseded (bound anew, unbound or "
            "deleted meanwhile), late (the answer came after the wait was given up; seconds from its "
            "beginning).",
            "result",
            buckets=_BIND_SECONDS,
        )
        self._binds = Children(binds)
        self._declare_parts(catalogue)

    def _declare_parts(self, catalogue: Catalogue) -> None:
        gauge, counter = catalogue.gauge, catalogue.counter
        self.binds_waiting = gauge(
            "gluon_binds_waiting", "Binds that requests wait for now.", across="livesum"
        )
        self.database_up = gauge(
            "gluon_database_up", "1 when the database could be read for these metrics.", across="mostrecent"
        )
        self._depth = gauge(
            "gluon_outbox_rows",
            "Changes that are not in etcd yet, those held back among them.",
            across="mostrecent",
        )
        self._age = gauge(
            "gluon_outbox_oldest_seconds",
            "Age of the oldest change that could go to etcd; 0 when none waits.",
            across="mostrecent",
        )
        self._set_aside = gauge(
            "gluon_outbox_set_aside_rows", "Changes that etcd refuses for themselves.", across="mostrecent"
        )
        self._held = gauge(
            "gluon_outbox_held_rows", "Changes that wait behind one that was set aside.", across="mostrecent"
        )
        self.leader = gauge("gluon_relay_leader", "1 where the relay runs: one server of an installation.")
        self.relay_batches = Followed(counter("gluon_relay_batches_total", "etcd transactions of the relay."))
        self.relay_rows = Followed(counter("gluon_relay_rows_total", "Changes that the relay wrote to etcd."))
        self.relay_failures = Followed(
            counter("gluon_relay_failures_total", "How often the relay could not go on, and tried again.")
        )
        self.relay_set_aside = Followed(
            counter("gluon_relay_set_aside_total", "Changes that were set aside, because etcd refused them.")
        )
        self.relay_terms = Followed(
            counter("gluon_relay_terms_total", "How often this server was elected to run the relay.")
        )
        self.relay_fenced = Followed(
            counter(
                "gluon_relay_fenced_total",
                "Transactions that etcd refused because another relay leads, or a late one came first.",
            )
        )
        self.relay_overtaken = Followed(
            counter(
                "gluon_relay_overtaken_total",
                "Changes of a resync that were dropped, since their key had been written meanwhile.",
            )
        )
        self.resyncs = Followed(
            counter("gluon_resyncs_total", "Resyncs that this server did by itself: done, failed.", "result")
        )
        self.resync_repaired = Followed(
            counter("gluon_resync_repaired_keys_total", "Keys that those resyncs put right in etcd.")
        )
        self.resync_left = gauge(
            "gluon_resync_left_keys",
            "Keys that a resync under way has still to look at; 0 when there is none.",
        )
        self.answers = Followed(
            counter(
                "gluon_bind_answers_total",
                "Controllers' answers: taken, stale (nobody waited for it any more), malformed.",
                "result",
            )
        )
        self.answers_failing = gauge(
            "gluon_bind_answers_failing", "Answers that can't be stored now; they are tried again."
        )
        self.contentions = Followed(
            counter(
                "gluon_database_retries_total",
                "Transactions that were run again because another one was in the way.",
            )
        )
        self.connections_lost = Followed(
            counter(
                "gluon_database_connections_lost_total",
                "Connections to the database that broke, those that nobody used included.",
            )
        )
        self.looked_up = Followed(
            counter(
                "gluon_database_outcomes_looked_up_total",
                "Commits whose connection broke, and whose outcome was looked up.",
            )
        )
        self.watchers = gauge(
            "gluon_watchers", "Streams of changes (?watch) that are open now.", across="livesum"
        )
        self.feeds = gauge(
            "gluon_feeds", "Collections that are followed in etcd for watchers now.", across="livesum"
        )
        self.watches = Followed(
            counter(
                "gluon_watches_total",
                "Streams by what became of them: opened, refused (one too many), dropped (its reader was too "
                "slow), too_old (told to list again).",
                "result",
            )
        )
        self.watch_events = Followed(
            counter("gluon_watch_events_total", "Events that watchers were sent, those of snapshots too.")
        )
        self._models = gauge("gluon_model_info", "1 for each served model.", "service", "version", "digest")
        self._digests: set[tuple[str, str, str]] = set()

    def requested(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """A request was answered; `route` is None for a path that leads nowhere."""
        found = self._by_request.get((method, route, status))
        if found is None:
            known = method if method in _METHODS else "other"
            found = self._requests.labels(known, route or "none", f"{status // 100}xx")
            self._by_request[method, route, status] = found
        found.observe(seconds)

    def written(self, seconds: float, error: Exception | None) -> None:
        """A transaction that changes objects is over."""
        self._commits[(_result(error),)].observe(seconds)

    def relayed(self, batch: Batch) -> None:
        """A batch is in etcd."""
        written_at = min(row.created for row in batch.rows)
        # Servers' clocks differ, and the row may be another server's.
        self._lag.observe(max(0.0, time.time() - written_at))

    def bind_ended(self, result: str, seconds: float) -> None:
        """A wait for a bind's answer is over."""
        self._binds[(result,)].observe(seconds)

    def show_outbox(self, state: OutboxState | None) -> None:
        """How the outbox is; None when the database can't be read: then nobody knows."""
        self.database_up.set(state is not None)
        self._depth.set(state.depth if state else _NONE)
        self._age.set((state.oldest_age or 0.0) if state else _NONE)
        self._set_aside.set(state.set_aside if state else _NONE)
        self._held.set(state.waiting if state else _NONE)

    def show_models(self, digests: Mapping[str, Mapping[str, str]]) -> None:
        """Which models are served."""
        now = {(s, v, digest) for s, versions in digests.items() for v, digest in versions.items()}
        for model in self._digests | now:
            self._models.labels(*model).set(model in now)
        self._digests |= now


def _result(error: Exception | None) -> str:
    if error is None:
        return "committed"
    if isinstance(error, RequestError | ConstraintViolation | InvalidValue):
        return "refused"
    return "unknown" if isinstance(error, OutcomeUnknown) else "failed"
