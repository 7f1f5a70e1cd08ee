"""One address of etcd: its channels, and the calls on them.

Each endpoint has two channels: one for calls, one for watches, so that a flood of events delays no call.
This is the one place that makes channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from gluon.etcd.credentials import Credentials

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # gRPC would wait up to two minutes between attempts; a restarted etcd shall be found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # In spite of its name, how long one attempt may take: a stopped etcd accepts, but never says a word.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # etcd closes connections that ping more often than every 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    # gRPC shares connections between channels of equal options, in the whole process.
    ("grpc.use_local_subchannel_pool", 1),
)


def target_of(url: str) -> str:
    """`host:port` of an endpoint; raises ValueError for what is none."""
    parts = urlsplit(url)
    try:
        port = parts.port or 2379
    except ValueError:
        port = 0
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or not bare:
        raise ValueError(f"{url!r} is no endpoint of etcd: give http://HOST:PORT or https://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Method:
    """One of etcd's calls. `repeatable`: doing it twice is no different from doing it once."""

    path: str
    request: type[Any]
    response: type[Any]
    repeatable: bool = False

    @property
    def name(self) -> str:
        """What etcd calls it, like `Range`."""
        return self.path.rpartition("/")[2]


def _channel(url: str, credentials: Credentials) -> grpc.aio.Channel:
    if urlsplit(url).scheme == "http":
        return grpc.aio.insecure_channel(target_of(url), options=_OPTIONS)
    return grpc.aio.secure_channel(target_of(url), credentials.of_channel(), options=_OPTIONS)


class Endpoint:
    """One address of etcd, with its channels and their ready-made calls."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.url = url
        self.calls = _channel(url, credentials)
        self.watches = _channel(url, credentials)
        self._unary: dict[str, Callable[..., Any]] = {}

    def unary(self, method: Method) -> Callable[..., Any]:
        """The ready-made call of a method with one request and one answer."""
        call = self._unary.get(method.path)
        if call is None:
            call = self._unary[method.path] = self.calls.unary_unary(
                method.path, method.request.SerializeToString, method.response.FromString
            )
        return call

    async def close(self) -> None:
        """End both channels, and what still runs on them."""
        await self.calls.close()
        await self.watches.close()
