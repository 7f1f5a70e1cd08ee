"""The ASGI application: which path is answered by which handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from falcon.asgi import App

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.proton.binder import Binder
from gluon.proton.feeds import Feeds
from gluon.proton.health import Health
from gluon.proton.identity import AuthStrategy
from gluon.proton.metrics import ServerMetrics
from gluon.proton.options import Settings
from gluon.proton.port_bindings import PortBindings
from gluon.proton.reads import Reads
from gluon.proton.sampling import Sampling
from gluon.proton.web import problems
from gluon.proton.web.access import AccessLog
from gluon.proton.web.bindings import (
    ChildStatus,
    PortBindingActivation,
    PortBindingCollection,
    PortBindingItem,
)
from gluon.proton.web.connection import RequestCutShort, whole_or_refused
from gluon.proton.web.controllers import Controllers
from gluon.proton.web.health import HealthCheck, Liveness, Readiness
from gluon.proton.web.last_word import LastWord
from gluon.proton.web.metrics import MeasuredRequests, Metrics
from gluon.proton.web.objects import Collection, Item
from gluon.proton.web.places import CurrentRegistry
from gluon.proton.web.requests import OPEN_PATHS, RequestContext
from gluon.proton.web.status import ObjectStatus
from gluon.proton.web.tracing import TracedRequests
from gluon.proton.web.versions import Docs, OpenApi, Root, Services, Version, Versions
from gluon.proton.web.watch import HEAD, Watches

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer

AsgiApp = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def make_app(
    *,
    settings: Settings,
    public_url: str | None,
    auth: AuthStrategy,
    registry: CurrentRegistry,
    reads: Reads,
    binder: Binder,
    bindings: PortBindings,
    feeds: Feeds,
    health: Health,
    metrics: ServerMetrics,
    tracer: Tracer | None,
    sampling: Sampling,
    etcd: Etcd,
    keys: Keys,
) -> AsgiApp:
    """The application, over the parts of a server; links start with `public_url`, or as the request came."""
    open_paths = OPEN_PATHS | ({"/metrics"} if settings.metrics_public else set())
    context = RequestContext(auth, public_url, open_paths)
    access = [AccessLog()] if settings.log.access else []
    traced = [TracedRequests(tracer)] if tracer is not None else []
    app: App[Any, Any] = App(middleware=[MeasuredRequests(metrics), *traced, *access, context])
    app.req_options.strip_url_path_trailing_slash = True
    problems.install(app)
    collection = Collection(registry, reads, binder, Watches(reads, feeds, keys), settings)
    item = Item(registry, reads, binder, settings.max_body)
    status = ObjectStatus(registry, reads, etcd, keys, settings.controllers)
    version = "/proton/{service}/{version}"

    def route(path: str, resource: object) -> None:
        app.add_route(path, LastWord(resource))

    route("/", Root())
    route("/healthcheck", HealthCheck(health, auth))
    route("/healthcheck/ready", Readiness(health))
    route("/healthcheck/live", Liveness())
    route("/metrics", Metrics(sampling, settings.metrics_public))
    route("/controllers", Controllers(etcd, keys))
    route("/proton", Services(registry))
    route("/proton/{service}", Versions(registry))
    route(version, Version(registry))
    route(f"{version}/openapi.json", OpenApi(registry))
    route(f"{version}/docs", Docs(registry))
    route(f"{version}/{{plural}}", collection)
    route(f"{version}/{{plural}}/{{key}}", item)
    route(f"{version}/{{plural}}/{{key}}/status", status)
    on_host = f"{version}/{{plural}}/{{key}}/bindings"
    route(on_host, PortBindingCollection(registry, bindings, binder, collection, settings.max_body))
    route(f"{on_host}/{{host}}", PortBindingItem(registry, bindings, binder, item, settings.max_body))
    route(f"{on_host}/{{host}}/activate", PortBindingActivation(registry, binder))
    route(f"{on_host}/{{host}}/status", ChildStatus(registry, status))
    route(f"{version}/{{plural}}/{{key}}/{{child}}", collection)
    route(f"{version}/{{plural}}/{{key}}/{{child}}/{{child_key}}", item)
    route(f"{version}/{{plural}}/{{key}}/{{child}}/{{child_key}}/status", status)
    return _with_raw_paths(app)


def _with_raw_paths(app: AsgiApp) -> AsgiApp:
    """Route by the path as it was sent, and HEAD as GET; refuse requests that end too early.

    An identifying key may hold a `/`, which stands percent-encoded in the path; routing the decoded path
    would cut such a key in two. The handlers decode the segments.
    """

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = dict(scope)
            raw: bytes = scope.get("raw_path") or scope["path"].encode()
            scope["path"] = raw.partition(b"?")[0].decode("latin-1")
            if scope["method"] == "HEAD":
                # RFC 9110 section 9.3.2: as GET, without the content, which the HTTP server leaves out.
                scope["method"] = "GET"
                scope[HEAD] = True
            receive = whole_or_refused(receive)
        with suppress(RequestCutShort):
            await app(scope, receive, send)

    return application
