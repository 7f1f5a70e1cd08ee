"""The options `[tracing]`, the same for servers and shims."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from oslo_config import cfg

TRACING_GROUP = cfg.OptGroup("tracing", title="Where traces of requests go")
TRACING_OPTIONS = [
    cfg.URIOpt(
        "endpoint",
        schemes=["http", "https"],
        help="URL of a collector that takes OTLP over HTTP, like http://127.0.0.1:4318; without a path, "
        "/v1/traces is added. Needs the extra gluon[tracing]. Without it there are no traces.",
    ),
    cfg.FloatOpt(
        "sample_ratio",
        default=1.0,
        min=0.0,
        max=1.0,
        help="Share of the requests that are traced. One that brings a traceparent is traced if its sender "
        "says so.",
    ),
    cfg.StrOpt("service_name", help="Name in the traces. Default: that of the program."),
]

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """The settings as values; no endpoint means no traces."""

    endpoint: str | None = None
    sample_ratio: float = 1.0
    service_name: str | None = None


def tracing_settings(conf: cfg.ConfigOpts) -> TracingSettings:
    """From options that were read; raises ValueError where traces are wanted and can't be made."""
    endpoint = conf.tracing.endpoint or None
    if endpoint is not None:
        if not _is_installed():
            raise ValueError(
                "[tracing] endpoint is set, but nothing can export traces: install gluon[tracing]"
            )
        if urlsplit(endpoint).path in ("", "/"):
            endpoint = endpoint.rstrip("/") + "/v1/traces"
    return TracingSettings(endpoint, conf.tracing.sample_ratio, conf.tracing.service_name or None)


def _is_installed() -> bool:
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False
