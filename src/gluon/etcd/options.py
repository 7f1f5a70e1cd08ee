"""The options of `[etcd]`, one definition for every process that uses etcd, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from oslo_config import cfg

from gluon.etcd.client import Etcd
from gluon.etcd.credentials import Credentials
from gluon.etcd.endpoint import target_of

ETCD_GROUP = cfg.OptGroup("etcd", title="How etcd is used")
ETCD_OPTIONS = [
    cfg.ListOpt(
        "endpoints",
        default=[],
        help="URLs of etcd's members, as https://HOST:PORT or http://HOST:PORT, with commas between them. "
        "Without any they are made from etcd_host and etcd_port of the other section.",
    ),
    cfg.StrOpt(
        "prefix",
        default="",
        help="Prefix of all keys (like /site-a), for an etcd that is shared; servers and shims of one "
        "installation need the same one.",
    ),
    cfg.StrOpt(
        "ca_file",
        help="Certificates (PEM) of the authorities that etcd's certificate is checked against. They and "
        "the next two files are read at start.",
    ),
    cfg.StrOpt(
        "cert_file",
        help="Certificate (PEM) to show to an etcd that asks for one; its key is in key_file.",
    ),
    cfg.StrOpt("key_file", help="Private key (PEM) of cert_file."),
    cfg.StrOpt("user", help="User of etcd, where etcd's authentication is enabled."),
    cfg.StrOpt("password", secret=True, help="That user's password."),
    cfg.FloatOpt(
        "timeout",
        default=5.0,
        min=0.1,
        help="Seconds that etcd has for an answer, at each endpoint that is tried. A watch that says nothing "
        "for that long is asked whether it lives, and has the same time again.",
    ),
    cfg.BoolOpt(
        "allow_unsafe_version",
        default=False,
        help="Run with an etcd of a version that can lose acknowledged writes (before 3.4.22, 3.5.0 to "
        "3.5.5), for trials. Otherwise such a version is refused.",
    ),
]


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """Where etcd is, and how to come in; `timeout` in seconds, `prefix` empty or like `/site-a`."""

    endpoints: tuple[str, ...] = ("http://127.0.0.1:2379",)
    prefix: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 5.0
    allow_unsafe_version: bool = False

    def credentials(self) -> Credentials:
        """What the files hold now; raises ValueError for one that can't be read."""
        return Credentials(
            ca=_content("ca_file", self.ca_file),
            certificate=_content("cert_file", self.cert_file),
            key=_content("key_file", self.key_file),
            user=self.user,
            password=self.password,
        )

    def connect(self) -> Etcd:
        """A client that belongs to the caller; raises ValueError for a file that can't be read."""
        return Etcd(self.endpoints, timeout=self.timeout, credentials=self.credentials())


def load_settings(conf: cfg.ConfigOpts, section: str) -> EtcdSettings:
    """What `[etcd]` comes to; etcd_host and etcd_port are those of `section` (`api`, `shim`).

    Raises ValueError with one line that names the option.
    """
    given = conf.etcd
    secured = bool(given.ca_file or given.cert_file)
    endpoints = tuple(text.strip() for text in given.endpoints if text.strip())
    if not endpoints:
        host, port = conf[section].etcd_host, conf[section].etcd_port
        endpoints = endpoints_of(host, port, scheme="https" if secured else "http", section=section)
    settings = EtcdSettings(
        endpoints=endpoints,
        prefix=given.prefix.rstrip("/"),
        ca_file=Path(given.ca_file) if given.ca_file else None,
        cert_file=Path(given.cert_file) if given.cert_file else None,
        key_file=Path(given.key_file) if given.key_file else None,
        user=given.user or None,
        password=given.password or None,
        timeout=given.timeout,
        allow_unsafe_version=given.allow_unsafe_version,
    )
    _check(settings)
    return settings


def endpoints_of(hosts: str, port: int, *, scheme: str, section: str) -> tuple[str, ...]:
    """URLs of etcd's members, from `host`, `host:port`, `[v6]:port` with commas; raises ValueError."""
    found = [_endpoint(text.strip(), port, scheme, section) for text in hosts.split(",") if text.strip()]
    if not found:
        raise ValueError(f"[{section}] etcd_host is empty")
    return tuple(found)


def _endpoint(text: str, port: int, scheme: str, section: str) -> str:
    host, colon, own_port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, own_port = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not own_port.isdigit() or not 0 < int(own_port) < 65536:
        raise ValueError(f"[{section}] etcd_host: {text!r} is neither a host nor host:port")
    return f"{scheme}://[{host}]:{own_port}" if ":" in host else f"{scheme}://{host}:{own_port}"


def _check(settings: EtcdSettings) -> None:
    if settings.prefix and not settings.prefix.startswith("/"):
        raise ValueError(f"[etcd] prefix must start with '/', not {settings.prefix!r}")
    _check_endpoints(settings.endpoints)
    files = {
        "ca_file": settings.ca_file,
        "cert_file": settings.cert_file,
        "key_file": settings.key_file,
    }
    given = [name for name, path in files.items() if path is not None]
    plain = [url for url in settings.endpoints if urlsplit(url).scheme == "http"]
    if given and plain:
        raise ValueError(f"[etcd] {given[0]} is of no use with {plain[0]}: give https in endpoints")
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in given and other not in given:
            raise ValueError(f"[etcd] {one} is given without {other}")
    for one, other in (("user", "password"), ("password", "user")):
        if getattr(settings, one) and not getattr(settings, other):
            raise ValueError(f"[etcd] {one} is given without {other}")
    for name, path in files.items():
        _content(name, path)


def _check_endpoints(endpoints: Sequence[str]) -> None:
    for url in endpoints:
        try:
            target_of(url)
        except ValueError as error:
            raise ValueError(f"[etcd] endpoints: {error}") from error
    if len({urlsplit(url).scheme for url in endpoints}) > 1:
        raise ValueError("[etcd] endpoints are to be all http or all https")


def _content(name: str, path: Path | None) -> bytes | None:
    """Raises ValueError for what can't be read, or is not PEM: gRPC itself would only fail to connect."""
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"[etcd] {name}: {path} can't be read: {error.strerror or error}") from error
    if b"-----BEGIN " not in content:
        raise ValueError(f"[etcd] {name}: {path} holds no PEM")
    return content
