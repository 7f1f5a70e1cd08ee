"""`/metrics`, and the middleware that counts the requests of all routes."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from falcon.asgi import Request, Response

from gluon.proton.errors import Forbidden
from gluon.proton.metrics import ServerMetrics
from gluon.proton.sampling import Sampling
from gluon.proton.web.requests import QueryString
from gluon.telemetry.catalogue import CONTENT_TYPE


class MeasuredRequests:
    """Middleware: counts each request with its time, from when its head was read until its answer is made."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics

    async def process_request(self, req: Request, resp: Response) -> None:
        """Called by Falcon before routing."""
        req.context.began = perf_counter()

    async def process_response(
        self, req: Request, resp: Response, resource: Any, req_succeeded: bool
    ) -> None:
        """Called by Falcon when the answer is made, also of a request that failed."""
        seconds = perf_counter() - req.context.began
        self._metrics.requested(req.method, req.uri_template, resp.status_code, seconds)


class Metrics:
    """`GET /metrics`, in Prometheus' text format; for administrators, unless it is public."""

    def __init__(self, sampling: Sampling, public: bool) -> None:
        self._sampling = sampling
        self._public = public

    async def on_get(self, req: Request, resp: Response) -> None:
        """The metrics of this server; with several workers, of all of them."""
        QueryString.of(req).allow()
        if not self._public and "admin" not in req.context.identity.roles:
            raise Forbidden("metrics are for administrators, unless [metrics] public says otherwise")
        resp.content_type = CONTENT_TYPE
        resp.data = await self._sampling.text()
