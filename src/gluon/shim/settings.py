"""What a shim server was told, read from its configuration files and checked."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oslo_config import cfg

from gluon.model.problems import nearest_spelling
from gluon.shim.errors import BadConfiguration
from gluon.shim.options import list_opts

EVERY = "*"
"""In `host_list` every host, in `handlers` every service that is not named otherwise."""


@dataclass(frozen=True, slots=True)
class ShimSettings:
    """The settings as values; times in seconds."""

    name: str
    etcd_endpoints: tuple[str, ...]
    handlers: Mapping[str, str]
    """Backend by service; `*` is every service that isn't named."""
    hosts: frozenset[str] = frozenset({EVERY})
    prefix: str = ""
    claim_wait: float = 5.0
    callback_timeout: float = 30.0
    parallel: int = 128
    lease_ttl: int = 10
    log_level: str = "INFO"

    def serves_host(self, host: str) -> bool:
        """Whether ports on that host are ours to bind."""
        return EVERY in self.hosts or host in self.hosts

    def backend_for(self, service: str) -> str | None:
        """The backend that drives a service; None when it isn't ours."""
        return self.handlers.get(service) or self.handlers.get(EVERY)


def load(arguments: Sequence[str], version: str) -> tuple[cfg.ConfigOpts, ShimSettings]:
    """Read `--config-file FILE` and the rest of the command line; raises BadConfiguration."""
    conf = cfg.ConfigOpts()
    for group, options in list_opts():
        conf.register_group(group)
        conf.register_opts(options, group=group)
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
        return conf, _settings(conf)
    except cfg.Error as error:
        raise BadConfiguration(" ".join(str(error).split())) from error


def _settings(conf: cfg.ConfigOpts) -> ShimSettings:
    handlers = parse_handlers(conf.shim.handlers)
    hosts = frozenset(host for host in conf.shim.host_list if host)
    if not hosts:
        raise BadConfiguration("[shim] host_list is empty; name the hosts whose ports are to be bound, or *")
    prefix = conf.etcd.prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise BadConfiguration(f"[etcd] prefix must start with '/', not {prefix!r}")
    return ShimSettings(
        name=conf.shim.name or default_name(handlers),
        etcd_endpoints=parse_endpoints(conf.shim.etcd_host, conf.shim.etcd_port),
        handlers=handlers,
        hosts=hosts,
        prefix=prefix,
        claim_wait=conf.shim.claim_wait,
        callback_timeout=conf.shim.callback_timeout,
        parallel=conf.shim.parallel,
        lease_ttl=conf.shim.lease_ttl,
        log_level=conf.shim.log_level,
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


def parse_endpoints(hosts: str, port: int) -> tuple[str, ...]:
    """URLs of etcd's members, from `host`, `host:port`, `[v6]:port` with commas; raises BadConfiguration."""
    return tuple(_endpoint(text.strip(), port) for text in hosts.split(",") if text.strip()) or _no_etcd()


def _endpoint(text: str, port: int) -> str:
    host, colon, own_port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, own_port = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not own_port.isdigit() or not 0 < int(own_port) < 65536:
        raise BadConfiguration(f"[shim] etcd_host: {text!r} is neither a host nor host:port")
    return f"http://[{host}]:{own_port}" if ":" in host else f"http://{host}:{own_port}"


def _no_etcd() -> tuple[str, ...]:
    raise BadConfiguration("[shim] etcd_host is empty")


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
