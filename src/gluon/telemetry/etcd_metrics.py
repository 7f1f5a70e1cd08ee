"""What a process and its etcd have to do with each other, as metrics; the same for servers and shims."""

from __future__ import annotations

from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.mirror import Mirror
from gluon.telemetry.catalogue import Catalogue, Children, Followed


class EtcdMetrics:
    """Calls, endpoints, and watches."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        calls = catalogue.histogram(
            "gluon_etcd_request_seconds", "Calls that etcd answered, by its name of the method.", "method"
        )
        errors = catalogue.counter(
            "gluon_etcd_errors_total", "Calls that failed, by what they failed with.", "method", "error"
        )
        self._calls, self._errors = Children(calls), Children(errors)
        self._endpoint = catalogue.gauge(
            "gluon_etcd_endpoint_in_use",
            "1 for the endpoint that calls go to now, 0 for the others.",
            "endpoint",
        )
        self._silence = catalogue.gauge(
            "gluon_etcd_watch_age_seconds",
            "Since etcd last said anything on a watch. It is asked when silent for [etcd] timeout, so twice "
            "that is the most while all is well.",
            "watch",
            "service",
        )
        self._synced = catalogue.gauge(
            "gluon_etcd_watch_synced",
            "1 while a copy of etcd's keys is complete and followed.",
            "watch",
            "service",
            across="livemin",
        )
        self._keys = catalogue.gauge(
            "gluon_etcd_watch_keys", "Keys that a watch follows.", "watch", "service"
        )
        lists = catalogue.counter(
            "gluon_etcd_lists_total",
            "How often a watch had to read all its keys: at the start, after a compaction, when history was "
            "lost.",
            "watch",
            "service",
        )
        failures = catalogue.counter(
            "gluon_etcd_watch_failures_total", "How often a watch broke.", "watch", "service"
        )
        losses = catalogue.counter(
            "gluon_etcd_histories_lost_total", "How often etcd was found to have been wiped or restored."
        )
        self._lists, self._failures, self._losses = map(Followed, (lists, failures, losses))

    def follow(self, etcd: Etcd) -> None:
        """Count what a client does."""
        etcd.observe_calls(self._called)

        def sample() -> None:
            for url in etcd.endpoints:
                self._endpoint.labels(url).set(url == etcd.endpoint)
            self._losses.show(etcd.history.losses)

        self._catalogue.call(sample)

    def look_at(self, mirror: Mirror, watch: str, service: str = "") -> None:
        """Show how a mirror does now."""
        names = (watch, service)
        self._synced.labels(*names).set(mirror.synced.is_set())
        self._silence.labels(*names).set(mirror.silence or 0.0)
        self._keys.labels(*names).set(len(mirror))
        self._lists.show(mirror.counters.lists, *names)
        self._failures.show(mirror.counters.failures, *names)

    def _called(self, method: str, seconds: float, error: EtcdError | None) -> None:
        if error is None:
            self._calls[(method,)].observe(seconds)
        else:
            self._errors[method, type(error).__name__].inc()
