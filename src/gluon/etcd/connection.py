"""Channels to etcd's endpoints: which one to use now, deadlines, and what failures mean.

Each endpoint has two channels: one for calls, one for watches, so that a flood of events delays no call.
This is the one place that makes channels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from gluon.etcd.credentials import Credentials
from gluon.etcd.errors import EtcdError, EtcdUnavailable, from_rpc_error

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


CallObserver = Callable[[str, float, EtcdError | None], None]
"""Told of each call when it is over: its method, the seconds that it took, and what it failed with."""


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


class Connection:
    """The endpoints of one etcd, one of which is in use.

    A call that finds no answer makes the next call use the next endpoint. Reads are repeated there by
    themselves; writes are not, since the first attempt may have been applied. With several endpoints a write
    is only sent where a connection stands, so that an endpoint that is known to be away fails no write.
    """

    def __init__(self, urls: Sequence[str], timeout: float, credentials: Credentials) -> None:
        if not urls:
            raise ValueError("etcd needs at least one endpoint, as http://HOST:PORT")
        for url in urls:
            target_of(url)
        self.timeout = timeout
        self._credentials = credentials
        self.urls = tuple(urls)
        self._endpoints: tuple[Endpoint, ...] = ()
        self._current = 0
        self.on_call: CallObserver | None = None

    @property
    def url(self) -> str:
        """The endpoint in use."""
        return self.urls[self._current]

    def endpoint(self) -> Endpoint:
        """The endpoint in use, with its channels."""
        # A channel belongs to the event loop that it is made in; the client may be made before there is one.
        if not self._endpoints:
            self._endpoints = tuple(Endpoint(url, self._credentials) for url in self.urls)
        return self._endpoints[self._current]

    async def call(self, method: Method, request: Any) -> Any:
        """Ask, and get the answer of the wire; raises EtcdError."""
        attempts = len(self.urls) if method.repeatable else 1
        while True:
            endpoint = self.endpoint()
            if len(self.urls) > 1:
                endpoint = await self._standing()
            attempts -= 1
            began = time.perf_counter()
            try:
                response = await endpoint.unary(method)(request, timeout=self.timeout)
            except grpc.aio.AioRpcError as error:
                failure = from_rpc_error(error, method.name, endpoint.url)
                if self.on_call is not None:
                    self.on_call(method.name, time.perf_counter() - began, failure)
                if not isinstance(failure, EtcdUnavailable):
                    raise failure from error
                self.leave(endpoint)
                if not attempts:
                    raise failure from error
            else:
                if self.on_call is not None:
                    self.on_call(method.name, time.perf_counter() - began, None)
                return response

    def leave(self, endpoint: Endpoint) -> None:
        """Use another endpoint from now on, unless that has been decided meanwhile."""
        if self._endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self.urls)

    async def close(self) -> None:
        """End all channels; whatever still runs on them is cancelled."""
        endpoints, self._endpoints = self._endpoints, ()
        for endpoint in endpoints:
            await endpoint.close()

    async def _standing(self) -> Endpoint:
        """An endpoint whose connection stands, the one in use first; the one in use when none does."""
        for _ in self.urls:
            endpoint = self.endpoint()
            state = endpoint.calls.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY or await self._becomes_ready(endpoint.calls, state):
                return endpoint
            self.leave(endpoint)
        return self.endpoint()

    async def _becomes_ready(self, channel: grpc.aio.Channel, state: grpc.ChannelConnectivity) -> bool:
        """Whether an attempt to connect that is under way, or is made now, succeeds in its share of time."""
        try:
            async with asyncio.timeout(self.timeout / len(self.urls)):
                while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        return state is grpc.ChannelConnectivity.READY
