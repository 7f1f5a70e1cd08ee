"""Where a MariaDB is and how to speak with it, as `[database] connection` says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from sqlalchemy.engine import URL

from gluon.store.database import UnsupportedDatabase

_PORT = 3306
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_KNOWN = ("charset", "host", "ssl", "ssl_ca", "ssl_cert", "ssl_check_hostname", "ssl_key", "unix_socket")


@dataclass(frozen=True)
class MariadbAddress:
    """One database, on one server or on the nodes of a cluster."""

    shown: str
    """The URL without the password."""
    database: str
    user: str | None
    password: str | None = field(repr=False)
    hosts: tuple[tuple[str, int], ...]
    """Tried in this order; empty with a socket."""
    unix_socket: str | None
    tls: ssl.SSLContext | None


def parse_address(url: URL) -> MariadbAddress:
    """What a URL says.

    `mysql://user:password@host:port/name`. Behind a `?`: `unix_socket=/path` instead of a host;
    `host=a:3306`, several times, for the nodes of a cluster; `ssl=true`, `ssl_ca`, `ssl_cert`, `ssl_key`
    (paths), `ssl_check_hostname=false`; `charset=utf8mb4`, which it is anyway. Raises UnsupportedDatabase
    with a sentence that says what is wrong.
    """
    shown = url.render_as_string(hide_password=True)

    def refuse(why: str) -> UnsupportedDatabase:
        return UnsupportedDatabase(f"{shown} can not be used: {why}")

    driver = url.drivername.partition("+")[2]
    if driver not in ("", "asyncmy", "pymysql", "aiomysql"):
        raise refuse(f"there is no driver {driver}; write mysql:// or mariadb://")
    if not url.database:
        raise refuse("it names no database; write mysql://user:password@host/name")
    options = dict(url.normalized_query)
    unknown = sorted(set(options) - set(_KNOWN))
    if unknown:
        raise refuse(f"{', '.join(unknown)} is unknown; there are {', '.join(_KNOWN)}")

    def option(name: str) -> str | None:
        values = options.get(name)
        if values is not None and len(values) > 1:
            raise refuse(f"{name} is there more than once")
        return values[0] if values else None

    def switch(name: str, default: bool) -> bool:
        value = option(name)
        if value is None:
            return default
        if value.lower() not in (*_TRUE, *_FALSE):
            raise refuse(f"{name} must be true or false")
        return value.lower() in _TRUE

    if (option("charset") or "utf8mb4").lower() != "utf8mb4":
        raise refuse("charset must be utf8mb4: names may hold any character")
    unix_socket = option("unix_socket")
    written = [*([f"{url.host}:{url.port or _PORT}"] if url.host else []), *options.get("host", ())]
    if unix_socket is not None and options.get("host"):
        raise refuse("it names both a socket and hosts")
    try:
        hosts = tuple(_host(text) for text in written or ("localhost",))
    except ValueError as error:
        raise refuse(f"a host is HOST or HOST:PORT, not {error}") from error
    try:
        tls = _tls(
            switch("ssl", False),
            switch("ssl_check_hostname", True),
            option("ssl_ca"),
            option("ssl_cert"),
            option("ssl_key"),
        )
    except (OSError, ValueError) as error:
        raise refuse(f"its certificates can't be read: {error}") from error
    return MariadbAddress(
        shown=shown,
        database=url.database,
        user=url.username,
        password=None if url.password is None else str(url.password),
        hosts=() if unix_socket else hosts,
        unix_socket=unix_socket,
        tls=tls,
    )


def _host(text: str) -> tuple[str, int]:
    name, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, port = text, str(_PORT)
    if not name or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(repr(text))
    return name.strip("[]"), int(port)


def _tls(
    wanted: bool, check_hostname: bool, ca: str | None, certificate: str | None, key: str | None
) -> ssl.SSLContext | None:
    """Who is at the other end is always checked: by the `ca`, or by what this machine trusts."""
    if not (wanted or ca or certificate):
        return None
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = check_hostname
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    elif key is not None:
        raise ValueError("ssl_key without ssl_cert")
    return context
