"""Spans of traces, exported over OTLP/HTTP by OpenTelemetry's SDK, in a thread of its own.

What is exported late or never (a collector that is away, a queue that is full) holds nothing up. Only this
module needs the packages of the extra; it is imported where there are traces.
"""

from __future__ import annotations

import os
import socket
import time

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gluon import __version__
from gluon.log.traces import carried, fields_of
from gluon.telemetry.options import TracingSettings
from gluon.telemetry.tracing import Attributes, Kind

_MOST_SPANS = 20_000
"""Finished spans that wait for the exporter; beyond that they are dropped."""

_EXPORT_EVERY = 1_000
"""Milliseconds; what a process hasn't exported is lost when it is killed."""

_KINDS: dict[Kind, SpanKind] = {
    "request": SpanKind.SERVER,
    "step": SpanKind.INTERNAL,
    "sending": SpanKind.PRODUCER,
    "receiving": SpanKind.CONSUMER,
}
_propagator = TraceContextTextMapPropagator()


class OpenSpan:
    """A span that has begun."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace: str | None = None
        """What carries the trace on, from this span; None when it isn't one of those that are exported."""
        if span.is_recording():
            fields: dict[str, str] = {}
            _propagator.inject(fields, set_span_in_context(span, Context()))
            self.trace = carried(fields["traceparent"], fields.get("tracestate"))

    def end(self, name: str, attributes: Attributes, *, failed: bool) -> None:
        """It is over; its name may be known only now."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracer:
    """Makes spans and exports them. Traces are carried as text (see `gluon.log.traces`)."""

    def __init__(self, settings: TracingSettings, program: str) -> None:
        """`program` is the service's name if the settings have none."""
        resource = Resource.create(
            {
                "service.name": settings.service_name or program,
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
        self._provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(settings.endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, _MOST_SPANS, _EXPORT_EVERY))
        self._tracer = self._provider.get_tracer("gluon", __version__)

    def close(self) -> None:
        """Export what waits, for some seconds at most, and end the thread; it blocks meanwhile."""
        self._provider.shutdown()

    def begin(self, name: str, trace: str | None, kind: Kind) -> OpenSpan:
        """A span that begins now, in the trace that was carried here, or in a new one."""
        return OpenSpan(self._tracer.start_span(name, _context(trace), _KINDS[kind]))

    def record(
        self,
        name: str,
        trace: str,
        seconds: float,
        attributes: Attributes,
        *,
        kind: Kind = "step",
        error: BaseException | None = None,
        ended_at: int | None = None,
    ) -> None:
        """A span that is over, in a trace that was carried here; it ended now, or at those nanoseconds."""
        end = ended_at if ended_at is not None else time.time_ns()
        span = self._tracer.start_span(
            name, _context(trace), _KINDS[kind], attributes, start_time=end - int(seconds * 1e9)
        )
        if error is not None:
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        span.end(end)


def _context(trace: str | None) -> Context:
    return Context() if trace is None else _propagator.extract(fields_of(trace), Context())
