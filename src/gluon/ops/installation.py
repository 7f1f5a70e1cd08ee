"""One installation on this machine, decided: addresses, services with their backends, configuration files."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from gluon.model.catalog import Catalog
from gluon.ops.errors import CannotStart
from gluon.particle.spelling import did_you_mean

DEFAULT_BACKEND = "dummy"
"""What drives a service that nobody named a backend for: it does nothing but log, and answers binds."""

_WRITTEN_BY = "# Written by `gluon up` at each start: what is changed here is lost.\n"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an etcd answers."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As clients of etcd want it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs, where, and with which settings."""

    host: str
    port: int
    etcd: Endpoint
    database_url: str
    state_dir: Path
    models_dir: Path | None
    backends: Mapping[str, str]
    """Backend by service, for those that were asked for."""
    shim_name: str
    etcd_is_ours: bool
    etcd_is_doubtful: bool = False
    """Of a version that can lose writes, which whoever started us has chosen all the same."""
    workers: int = 1
    """Processes of the Proton Server."""

    @property
    def proton_url(self) -> str:
        """The Proton Server's URL."""
        return f"http://{self.host}:{self.port}"

    def proton_conf(self) -> str:
        """The text of `proton.conf`."""
        api = {
            "host": self.host,
            "port": self.port,
            "models_dir": self.models_dir,
            "etcd_host": self.etcd.host,
            "etcd_port": self.etcd.port,
            "auth_strategy": "noauth",
            "workers": self.workers,
        }
        return (
            _WRITTEN_BY
            + _section("api", api)
            + _section("database", {"connection": self.database_url})
            + self._etcd_conf()
        )

    def shim_conf(self) -> str:
        """The text of `proton-shim.conf`."""
        shim = {
            "name": self.shim_name,
            "etcd_host": self.etcd.host,
            "etcd_port": self.etcd.port,
            "host_list": "*",
            "handlers": ", ".join(f"{s}:{b}" for s, b in {"*": DEFAULT_BACKEND, **self.backends}.items()),
        }
        return _WRITTEN_BY + _section("shim", shim) + self._etcd_conf()

    def _etcd_conf(self) -> str:
        return _section("etcd", {"allow_unsafe_version": "true"}) if self.etcd_is_doubtful else ""


def name_of_shim(*, etcd_is_ours: bool) -> str:
    """Unique among the shims of one etcd, and the same at each start: a shim's journal is kept under it.

    An etcd of our own is reached from this machine only; this host's name may change (in a container).
    """
    return "local" if etcd_is_ours else socket.gethostname()


def parse_endpoint(text: str) -> Endpoint:
    """`http://HOST:PORT`, or without the scheme; raises CannotStart for anything else."""
    url = urlsplit(text if "//" in text else f"//{text}", scheme="http")
    try:
        port = url.port
    except ValueError:
        port = None
    bare = url.path in ("", "/") and not (url.query or url.fragment or url.username)
    if url.scheme != "http" or not url.hostname or port is None or not bare:
        raise CannotStart(f"--etcd {text}: give it as http://HOST:PORT")
    return Endpoint(url.hostname, port)


def parse_backends(wishes: Sequence[str]) -> Mapping[str, str]:
    """Backend by service, from `SERVICE=NAME`; raises CannotStart for a backend that doesn't exist."""
    known = sorted(entry_points(group="gluon.shim.backends").names)
    backends = {}
    for wish in wishes:
        service, _, backend = wish.partition("=")
        if not service or not backend:
            raise CannotStart(f"--backend {wish}: give it as SERVICE=NAME, like net-l3vpn=dummy")
        if backend not in known:
            raise CannotStart(f"--backend {wish}: there is no backend {backend!r}{_instead(backend, known)}")
        backends[service] = backend
    return backends


def check_services(backends: Mapping[str, str], services: Sequence[str]) -> None:
    """Raises CannotStart when a backend was asked for a service that isn't there."""
    for service, backend in backends.items():
        if service not in services:
            wish = f"--backend {service}={backend}"
            raise CannotStart(f"{wish}: there is no service {service!r}{_instead(service, services)}")


def broken_models(catalog: Catalog) -> list[str]:
    """A line for each service with models that can't be served, or that are to be looked at."""
    lines = []
    for service, problems in catalog.problems.items():
        errors = [p for p in problems if p.severity == "error"]
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            lines.append(f"a model of {service} is wrong and not served: {errors[0]}{more}")
    return lines


def _instead(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    return did_you_mean(wrong, names) or f"; there is {', '.join(names)}"


def _section(name: str, settings: Mapping[str, object]) -> str:
    # oslo.config reads $name as another setting's value.
    lines = [f"{k} = {str(v).replace('$', '$$')}" for k, v in settings.items() if v is not None]
    return "\n".join([f"\n[{name}]", *lines, ""])
