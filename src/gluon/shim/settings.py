"""What a shim server was told, read from its configuration files and checked."""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oslo_config import cfg

from gluon.etcd.options import EtcdSettings, load_settings
from gluon.log.options import LogSettings, log_settings
from gluon.model.problems import nearest_spelling
from gluon.shim.errors import BadConfiguration
from gluon.shim.options import list_opts
from gluon.telemetry.options import TracingSettings, tracing_settings

_CHECK_HELP = (
    "Only try the configuration, etcd, and the connection to each controller. Exit code 0: all is well."
)

EVERY = "*"
"""In `host_list` every host, in `handlers` every service that is not named otherwise."""


@dataclass(frozen=True, slots=True)
class ShimSettings:
    """The settings as values; times in seconds."""

    name: str
    etcd: EtcdSettings
    handlers: Mapping[str, str]
    """Backend by service; `*` is every service that isn't named."""
    hosts: frozenset[str] = frozenset({EVERY})
    claim_wait: float = 5.0
    callback_timeout: float = 30.0
    rate_limit: float = 0.0
    """Callbacks a second; 0: no limit."""
    reconcile_interval: float = 0.0
    """0: only at the start, and on demand."""
    parallel: int = 128
    admin_tenants: frozenset[str] = frozenset()
    lease_ttl: int = 10
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    """0: metrics are shown to nobody."""
    log: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)

    def serves_host(self, host: str) -> bool:
        """Whether ports on that host are ours to bind."""
        return EVERY in self.hosts or host in self.hosts

    def backend_for(self, service: str) -> str | None:
        """The backend that drives a service; None when it isn't ours."""
        return self.handlers.get(service) or self.handlers.get(EVERY)


def load(
    arguments: Sequence[str], version: str, *, handlers: str | None = None
) -> tuple[cfg.ConfigOpts, ShimSettings]:
    """Read `--config-file FILE` and the rest of the command line; raises BadConfiguration.

    `handlers` takes the place of what the files say of that.
    """
    conf = cfg.ConfigOpts()
    for group, options in list_opts():
        # A copy, with all that it holds: else what is set in one ConfigOpts is set in all of the process.
        conf.register_opts(options, group=copy.deepcopy(group))
    conf.register_cli_opt(cfg.BoolOpt("check", default=False, help=_CHECK_HELP))
    try:
        conf(
            list(arguments),
            project="gluon",
            prog="proton-shim-server",
            version=version,
            default_config_files=[],
            default_config_dirs=[],
        )
        _refuse_unknown(conf)
        if handlers is not None:
            conf.set_override("handlers", [handlers], group="shim")
        return conf, _settings(conf)
    except cfg.Error as error:
        raise BadConfiguration(" ".join(str(error).split())) from error


def _settings(conf: cfg.ConfigOpts) -> ShimSettings:
    handlers = parse_handlers(conf.shim.handlers)
    hosts = frozenset(host for host in conf.shim.host_list if host)
    if not hosts:
        raise BadConfiguration("[shim] host_list is empty; name the hosts whose ports are to be bound, or *")
    try:
        etcd, tracing = load_settings(conf, "shim"), tracing_settings(conf)
    except ValueError as error:
        raise BadConfiguration(str(error)) from error
    return ShimSettings(
        name=conf.shim.name or default_name(handlers),
        etcd=etcd,
        handlers=handlers,
        hosts=hosts,
        claim_wait=conf.shim.claim_wait,
        callback_timeout=conf.shim.callback_timeout,
        rate_limit=conf.shim.rate_limit,
        reconcile_interval=conf.shim.reconcile_interval,
        parallel=conf.shim.parallel,
        admin_tenants=frozenset(conf.shim.admin_tenants),
        lease_ttl=conf.shim.lease_ttl,
        metrics_host=conf.shim.metrics_host,
        metrics_port=conf.shim.metrics_port,
        log=log_settings(conf.log.format, conf.log.level or conf.shim.log_level),
        tracing=tracing,
    )


def parse_handlers(handlers: Sequence[str]) -> Mapping[str, str]:
    """Backend by service, from `service:backend` texts; raises BadConfiguration."""
    found: dict[str, str] = {}
    for text in handlers:
        service, _, backend = (part.strip() for part in text.partition(":"))
        if not service or not backend:
            raise BadConfiguration(f"[shim] handlers: {text!r} is not service:backend (like net-l3vpn:dummy)")
        if service in found:
            raise BadConfiguration(f"[shim] handlers names the service {service!r} twice")
        found[service] = backend
    if not found:
        raise BadConfiguration("[shim] handlers is empty; name a backend, as in handlers = *:dummy")
    return found


def default_name(handlers: Mapping[str, str]) -> str:
    """The name of this host and the backends: `node-1-dummy`."""
    backends = sorted({backend.replace(":", ".") for backend in handlers.values()})
    return "-".join([socket.gethostname(), *backends])


def _refuse_unknown(conf: cfg.ConfigOpts) -> None:
    """oslo.config passes over names it doesn't know: a misspelt host_list would bind every host's ports."""
    known = {group.name: sorted(option.dest for option in options) for group, options in list_opts()}
    for file in conf.config_file:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(file, sections).parse()
        for section, values in sections.items():
            for name in values:
                if section in known and name not in known[section]:
                    nearest = nearest_spelling(name, known[section])
                    meant = f"; did you mean {nearest}?" if nearest else ""
                    raise BadConfiguration(f"{file}: [{section}] has no setting {name!r}{meant}")
