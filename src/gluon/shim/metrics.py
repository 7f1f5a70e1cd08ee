"""The metrics of a shim server.

Labels hold names of services and callbacks, never keys of objects: how many series there are doesn't depend
on how many objects there are.
"""

from __future__ import annotations

from collections.abc import Mapping

from gluon.shim.callbacks import Overdue
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.journal import State
from gluon.telemetry.catalogue import Catalogue, Children, Followed
from gluon.telemetry.etcd_metrics import EtcdMetrics

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ShimMetrics:
    """What a shim server observes of itself."""

    def __init__(self) -> None:
        self.catalogue = catalogue = Catalogue()
        self.etcd = EtcdMetrics(catalogue)
        gauge, counter = catalogue.gauge, catalogue.counter
        callbacks = catalogue.histogram(
            "gluon_callback_seconds",
            "Callbacks of backends: done, temporary (to be tried again), refused, overdue (given up after "
            "callback_timeout), failed (any other exception).",
            "service",
            "callback",
            "result",
            buckets=_SECONDS,
        )
        self._callbacks = Children(callbacks)
        self._queue = gauge(
            "gluon_queue_objects",
            "Objects that are to be worked on: ready, running, waiting (for a back-off to end), parked "
            "(until others have had their turn).",
            "service",
            "state",
        )
        self.retries = Followed(
            counter("gluon_retries_total", "Turns that are to be tried again after a back-off.", "service")
        )
        self.claims = gauge("gluon_claims", "Ports that are this shim's to bind, or are bound.", "service")
        self.stored = gauge("gluon_stored_objects", "Objects that etcd has.", "service")
        self._states = gauge(
            "gluon_journal_objects",
            "Objects that the controller has heard of, by state: PENDING, APPLIED, FAILED.",
            "service",
            "state",
        )
        self.serving = gauge(
            "gluon_serving", "1 while the backend is started and its objects are worked on.", "service"
        )
        self.name_held = gauge("gluon_name_held", "1 while this shim's name, and so its claims, are its own.")
        self.lease_losses = Followed(
            counter(
                "gluon_lease_losses_total", "How often the lease of this shim's name and claims was lost."
            )
        )

    def called(self, service: str, callback: str, seconds: float, error: BaseException | None) -> None:
        """A callback has returned, or was given up."""
        self._callbacks[service, callback, _result(error)].observe(seconds)

    def show_queue(self, service: str, depths: Mapping[str, int]) -> None:
        """How many objects are in which part of a service's queue."""
        for state, depth in depths.items():
            self._queue.labels(service, state).set(depth)

    def show_states(self, service: str, states: Mapping[State, int]) -> None:
        """How many objects are in which state."""
        for state in State:
            self._states.labels(service, state.value).set(states.get(state, 0))


def _result(error: BaseException | None) -> str:
    if error is None:
        return "done"
    if isinstance(error, TemporaryError):
        return "temporary"
    if isinstance(error, PermanentError):
        return "refused"
    return "overdue" if isinstance(error, Overdue) else "failed"
