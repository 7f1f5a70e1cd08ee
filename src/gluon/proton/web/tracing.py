"""The middleware that begins a trace with each request, or goes on with the one that a request brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcon.asgi import Request, Response

from gluon.log.traces import carried, enter_trace

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer

_UNTRACED = ("/healthcheck", "/metrics")


class TracedRequests:
    """Middleware: a span for each request, from when its head was read until its answer is made."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def process_request(self, req: Request, resp: Response) -> None:
        """Called by Falcon before routing."""
        if req.path.startswith(_UNTRACED):
            req.context.span = None
            enter_trace(None)
            return
        trace = carried(req.get_header("traceparent"), req.get_header("tracestate"))
        req.context.span = self._tracer.begin(req.method, trace, "request")
        # Not left: the task ends with the request, and a request that follows enters its own.
        enter_trace(req.context.span.trace)

    async def process_response(
        self, req: Request, resp: Response, resource: Any, req_succeeded: bool
    ) -> None:
        """Called by Falcon when the answer is made, also of a request that failed."""
        if req.context.span is None:
            return
        # Names as OpenTelemetry's semantic conventions have them for HTTP servers.
        attributes: dict[str, str | int] = {
            "http.request.method": req.method,
            "url.path": req.path,
            "http.response.status_code": resp.status_code,
            "gluon.request_id": req.context.request_id,
        }
        if req.uri_template:
            attributes["http.route"] = req.uri_template
        name = f"{req.method} {req.uri_template}" if req.uri_template else req.method
        req.context.span.end(name, attributes, failed=resp.status_code >= 500)
