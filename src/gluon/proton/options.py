"""Options of the Proton Server: names and defaults as operators write them in `proton.conf`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg

from gluon.etcd.options import ETCD_GROUP, ETCD_OPTIONS, EtcdSettings, load_settings
from gluon.log.options import ACCESS_OPTION, LOG_GROUP, LOG_OPTIONS, LogSettings, log_settings
from gluon.proton.controllers import ControllersByService, read_controllers
from gluon.store.database import DatabaseOptions
from gluon.telemetry.options import TRACING_GROUP, TRACING_OPTIONS, TracingSettings, tracing_settings

API_GROUP = cfg.OptGroup("api", title="The HTTP API and what it serves")
API_OPTIONS = [
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        help="Address to listen on. Without authentication (noauth) everyone who can reach it is an "
        "administrator: keep it on loopback.",
    ),
    cfg.PortOpt("port", default=2705, help="TCP port to listen on; 0 picks a free one."),
    cfg.ListOpt("service_list", default=[], help="Services to host; empty hosts every service there is."),
    cfg.StrOpt(
        "models_dir",
        help="Directory with one folder for each service. Its services come beside the bundled ones, "
        "and before those of the same name. Without it only the bundled ones are known.",
    ),
    cfg.StrOpt(
        "etcd_host",
        default="127.0.0.1",
        help="Host of the etcd server; several members of one cluster with commas between them, each with a "
        ":port of its own if need be. [etcd] endpoints, if given, comes first.",
    ),
    cfg.PortOpt("etcd_port", default=2379, help="Port of the etcd server."),
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=[("noauth", "every request is an administrator's; for loopback only")],
        help="How requests are authenticated.",
    ),
    cfg.URIOpt(
        "public_url",
        schemes=["http", "https"],
        help="URL under which clients and other services reach this API; it stands in /gluon/port/<id> "
        "and in links. Default: http://<host>:<port>.",
    ),
    cfg.IntOpt(
        "max_limit", default=1000, min=1, max=100_000, help="Most objects in one answer to a list request."
    ),
    cfg.IntOpt(
        "max_body",
        default=16 * 1024 * 1024,
        min=1024,
        help="Largest request body, in bytes; a larger one is answered with 413.",
    ),
    cfg.IntOpt(
        "max_bulk",
        default=1000,
        min=1,
        max=100_000,
        help="Most objects that one request creates; they share a transaction, which others wait for.",
    ),
    cfg.FloatOpt(
        "bind_timeout",
        default=8.0,
        min=0.0,
        help="Seconds that a bind request waits for a controller's answer. When they are over it answers "
        "with vif_type binding_failed; a late answer still reaches the port.",
    ),
    cfg.FloatOpt(
        "drain_delay",
        default=0.0,
        min=0.0,
        help="Seconds that a server goes on serving after SIGTERM, while /healthcheck/ready says that it "
        "stops, before it closes its address: as many as a load balancer takes to notice. 0 closes it at "
        "once, for clients that try another server when a connection is refused.",
    ),
    cfg.IntOpt(
        "max_watchers",
        default=1000,
        min=0,
        help="Most streams of changes (?watch) that one server process has open at a time; one more is "
        "answered with 503.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=256,
        help="Processes that serve, sharing the address; each is a whole server. One for each processor "
        "core is a good start. More than one needs PostgreSQL or MariaDB. --workers on the command line "
        "comes before it.",
    ),
]

WORKERS_OPTION = cfg.IntOpt(
    "workers",
    min=1,
    max=256,
    help="Worker processes, instead of what [api] workers says.",
)
"""For the command line only."""

_DATABASE = DatabaseOptions()
DATABASE_GROUP = cfg.OptGroup("database", title="Where objects are kept")
DATABASE_OPTIONS = [
    cfg.StrOpt(
        "connection",
        default="sqlite:////var/lib/gluon/gluon.sqlite",
        secret=True,
        help="Database URL in SQLAlchemy's form: sqlite:////path, postgresql://user:password@host/name or "
        "mysql://user:password@host/name. SQLite serves one server process.",
    ),
    cfg.IntOpt(
        "max_pool_size",
        default=_DATABASE.max_pool_size,
        min=1,
        max=1000,
        help="Most connections that one server process opens to PostgreSQL or MariaDB (on PostgreSQL one "
        "more listens). Transactions beyond that wait for one.",
    ),
    cfg.FloatOpt(
        "pool_timeout",
        default=_DATABASE.pool_timeout,
        min=0.1,
        help="Seconds that a request waits for a connection before it is answered with 503, and that a start "
        "waits for the database before it fails.",
    ),
    cfg.FloatOpt(
        "statement_timeout",
        default=_DATABASE.statement_timeout,
        min=0.1,
        help="Seconds that one statement may take.",
    ),
    cfg.IntOpt(
        "max_retries",
        default=_DATABASE.max_retries,
        min=0,
        max=1000,
        help="How often a transaction is run again that another one was in the way of (deadlock, "
        "serialization or certification failure) before the request is answered with 503.",
    ),
]

AUDIT_GROUP = cfg.OptGroup("audit", title="One line for each change of an object")
AUDIT_OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="Note who changed what."),
    cfg.StrOpt(
        "file",
        help="File that the lines are added to, made with the permissions 0640 and opened anew when it was "
        "moved away (logrotate). Default: the ordinary log.",
    ),
]

METRICS_GROUP = cfg.OptGroup("metrics", title="What Prometheus may read")
METRICS_OPTIONS = [
    cfg.BoolOpt(
        "public",
        default=False,
        help="Whether /metrics answers anybody. Otherwise it is for administrators, which are few programs "
        "that only read metrics. They tell how much there is and how it does, and name services and routes.",
    ),
]

CONTROLLERS_GROUP = cfg.OptGroup(
    "controllers", title="Which controllers must have applied a port before it is ACTIVE"
)
CONTROLLERS_OPTIONS = [
    cfg.ListOpt(
        "<service>",
        sample_default=["ovn", "bgp?"],
        help="One line for each service whose ports need more than the controller that binds them, as in "
        "net-l3vpn = ovn, bgp?. Each name is a backend's, as in the shims' handlers, or one shim's. A port "
        "is ACTIVE when its bind is answered and all of them have applied it, but for those with a ?, which "
        "may take part. The same on all servers.",
    )
]


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """The options by group, for the sample generator (entry point `oslo.config.opts`)."""
    return [
        (API_GROUP, API_OPTIONS),
        (CONTROLLERS_GROUP, CONTROLLERS_OPTIONS),
        (DATABASE_GROUP, DATABASE_OPTIONS),
        (LOG_GROUP, [*LOG_OPTIONS, ACCESS_OPTION]),
        (AUDIT_GROUP, AUDIT_OPTIONS),
        (ETCD_GROUP, ETCD_OPTIONS),
        (METRICS_GROUP, METRICS_OPTIONS),
        (TRACING_GROUP, TRACING_OPTIONS),
    ]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Where audit lines go; no file means the ordinary log."""

    enabled: bool = True
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server was told, as one value; times in seconds, sizes in bytes."""

    host: str
    port: int
    services: tuple[str, ...]
    models_dir: Path | None
    etcd: EtcdSettings
    auth_strategy: str
    public_url: str | None
    max_limit: int
    max_body: int
    max_bulk: int
    bind_timeout: float
    drain_delay: float
    max_watchers: int
    workers: int
    database_url: str
    database: DatabaseOptions = field(default_factory=DatabaseOptions)
    log: LogSettings = field(default_factory=LogSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    metrics_public: bool = False
    tracing: TracingSettings = field(default_factory=TracingSettings)
    controllers: ControllersByService = field(default_factory=ControllersByService)


def load(arguments: list[str], version: str) -> tuple[cfg.ConfigOpts, Settings]:
    """Read `--config-file` and the rest of the command line.

    Raises oslo_config.cfg.Error for what can't be read, and ValueError for values that fit no server.
    """
    conf = cfg.ConfigOpts()
    for group, options in list_opts():
        conf.register_group(group)
        conf.register_opts(options, group=group)
    conf.register_cli_opt(WORKERS_OPTION)
    conf(arguments, project="gluon", prog="proton-server", version=version, default_config_files=None)
    settings = Settings(
        host=conf.api.host,
        port=conf.api.port,
        services=tuple(conf.api.service_list),
        models_dir=Path(conf.api.models_dir) if conf.api.models_dir else None,
        etcd=load_settings(conf, "api"),
        auth_strategy=conf.api.auth_strategy,
        public_url=conf.api.public_url.rstrip("/") if conf.api.public_url else None,
        max_limit=conf.api.max_limit,
        max_body=conf.api.max_body,
        max_bulk=conf.api.max_bulk,
        bind_timeout=conf.api.bind_timeout,
        drain_delay=conf.api.drain_delay,
        max_watchers=conf.api.max_watchers,
        workers=conf.workers or conf.api.workers,
        database_url=conf.database.connection,
        database=DatabaseOptions(
            max_pool_size=conf.database.max_pool_size,
            pool_timeout=conf.database.pool_timeout,
            statement_timeout=conf.database.statement_timeout,
            max_retries=conf.database.max_retries,
        ),
        log=log_settings(conf.log.format, conf.log.level, access=conf.log.access),
        audit=AuditSettings(conf.audit.enabled, Path(conf.audit.file) if conf.audit.file else None),
        metrics_public=conf.metrics.public,
        tracing=tracing_settings(conf),
        controllers=read_controllers(_lines(conf, CONTROLLERS_GROUP.name)),
    )
    return conf, settings


def _lines(conf: cfg.ConfigOpts, section: str) -> dict[str, list[str]]:
    """A section whose names are not known beforehand; of several files the last one's line counts."""
    files = [Path(file) for file in conf.config_file or ()]
    for folder in conf.config_dir or ():
        files += sorted(Path(folder).glob("*.conf"))
    found: dict[str, list[str]] = {}
    for file in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(str(file), sections).parse()
        for name, values in sections.get(section, {}).items():
            if len(values) > 1:
                raise ValueError(f"{file}: [{section}] has {name} twice")
            found[name] = values
    return found
