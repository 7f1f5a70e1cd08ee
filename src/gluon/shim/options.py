"""Options of the shim server: names and defaults as operators write them in `proton-shim.conf`."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

from gluon.etcd.options import ETCD_GROUP, ETCD_OPTIONS
from gluon.log.options import LEVELS, LOG_GROUP, LOG_OPTIONS
from gluon.shim.backends.odl.options import ODL_GROUP, ODL_OPTIONS
from gluon.shim.backends.ovn.options import OVN_GROUP, OVN_OPTIONS
from gluon.telemetry.options import TRACING_GROUP, TRACING_OPTIONS

SHIM_GROUP = cfg.OptGroup("shim", title="The shim server")
SHIM_OPTIONS = [
    cfg.StrOpt(
        "name",
        help="Name of this shim server among all that share the etcd. Its journal is kept under it, so "
        "keep it over restarts. Default: this host's name and the backends.",
    ),
    cfg.StrOpt(
        "etcd_host",
        default="127.0.0.1",
        help="Host of the etcd server; several members of one cluster with commas between them, each with a "
        ":port of its own if need be. [etcd] endpoints, if given, comes first.",
    ),
    cfg.PortOpt("etcd_port", default=2379, help="Port of the etcd server."),
    cfg.ListOpt(
        "host_list",
        default=["*"],
        help="Hosts whose ports this shim server binds; * is all. All other objects reach it anyway.",
    ),
    cfg.ListOpt(
        "handlers",
        default=[],
        help="Which backend drives which service, as service:backend. The service * is every one that is not "
        "named otherwise, also one that appears later. The backend is the name of an entry point "
        "(gluon.shim.backends), or a class as package.module:Class.",
    ),
    cfg.FloatOpt(
        "claim_wait",
        default=5.0,
        min=0.0,
        help="Seconds that a bind waits for the shim of the port's last host to let go of it.",
    ),
    cfg.FloatOpt(
        "callback_timeout",
        default=30.0,
        min=0.1,
        help="Seconds that one callback of a backend may take. One that takes longer is given up: a "
        "coroutine is cancelled, the result of a plain function is dropped once it returns. The object is "
        "tried again after that.",
    ),
    cfg.FloatOpt(
        "rate_limit",
        default=0.0,
        min=0.0,
        help="Callbacks a second that the controller gets at most, of all services together; binds go before "
        "others. 0: no limit.",
    ),
    cfg.FloatOpt(
        "reconcile_interval",
        default=0.0,
        min=0.0,
        help="Seconds after which the backend is asked to look for strays again, on and on; 0: only at the "
        "start, and when the backend itself wants it.",
    ),
    cfg.IntOpt(
        "parallel",
        default=128,
        min=1,
        max=4096,
        help="Objects of one service that are worked on at the same time; for callbacks that are plain "
        "functions also the number of threads.",
    ),
    cfg.ListOpt(
        "admin_tenants",
        default=[],
        help="Tenants (projects) of administrators: what a VpnAfConfig of theirs says of a route target "
        "holds for the VPNs of all tenants. One of another tenant holds for that tenant's own VPNs. The same "
        "on all shim servers.",
    ),
    cfg.IntOpt(
        "lease_ttl",
        default=10,
        min=2,
        max=3600,
        help="Seconds after which a shim server that died counts as gone: its name and claims are free then.",
    ),
    cfg.PortOpt(
        "metrics_port",
        default=0,
        help="TCP port that answers Prometheus (GET /metrics), to anybody who reaches it; 0: none.",
    ),
    cfg.HostAddressOpt("metrics_host", default="127.0.0.1", help="Address to listen on for that."),
    cfg.StrOpt(
        "log_level",
        default="INFO",
        choices=LEVELS,
        help="Least severe messages to log, where [log] level doesn't say it.",
    ),
]


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """The options by group, for the sample generator (entry point `oslo.config.opts`)."""
    return [
        (SHIM_GROUP, SHIM_OPTIONS),
        (ODL_GROUP, ODL_OPTIONS),
        (OVN_GROUP, OVN_OPTIONS),
        (ETCD_GROUP, ETCD_OPTIONS),
        (LOG_GROUP, LOG_OPTIONS),
        (TRACING_GROUP, TRACING_OPTIONS),
    ]
