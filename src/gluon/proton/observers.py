"""Tells metrics and traces, where there are any, of what has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gluon.log.traces import current_trace
from gluon.proton.metrics import ServerMetrics

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer


class Observers:
    """Called by the parts of a server, in the task of the request that it happened for."""

    def __init__(self, metrics: ServerMetrics, tracer: Tracer | None) -> None:
        self._metrics = metrics
        self._tracer = tracer

    def written(self, seconds: float, error: Exception | None) -> None:
        """A transaction that changes objects is over (see `gluon.proton.door.WriteObserver`)."""
        self._metrics.written(seconds, error)
        if self._tracer is not None and (trace := current_trace()) is not None:
            self._tracer.record("transaction", trace, seconds, {}, error=error)

    def bind_ended(self, bind_id: str, result: str, seconds: float) -> None:
        """A wait for a bind is over (see `gluon.proton.bind_waits.WaitObserver`)."""
        self._metrics.bind_ended(result, seconds)
        if self._tracer is not None and (trace := current_trace()) is not None:
            attributes = {"gluon.bind_id": bind_id, "gluon.result": result}
            self._tracer.record("bind wait", trace, seconds, attributes)
