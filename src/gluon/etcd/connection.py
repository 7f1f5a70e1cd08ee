"""Which of etcd's endpoints to use now, deadlines, and what failures mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from gluon.etcd import methods
from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.credentials import Credentials
from gluon.etcd.endpoint import Endpoint, Method, target_of
from gluon.etcd.errors import AccessRefused, EtcdError, EtcdUnavailable, NoAnswer, NoLeader, from_rpc_error
from gluon.etcd.session import Metadata, Session

CallObserver = Callable[[str, float, EtcdError | None], None]
"""Told of each call when it is over: its method, the seconds that it took, and what it failed with."""


class Connection:
    """The endpoints of one etcd, one of which is in use.

    A call that finds no answer makes the next call use the next endpoint. Reads are repeated there by
    themselves; writes are not, since the first attempt may have been applied, unless the member says that it
    did nothing. With several endpoints a write is only sent where a connection stands, so that an endpoint
    that is known to be away fails no write.
    """

    def __init__(self, urls: Sequence[str], timeout: float, credentials: Credentials) -> None:
        if not urls:
            raise ValueError("etcd needs at least one endpoint, as http://HOST:PORT")
        for url in urls:
            target_of(url)
        self.timeout = timeout
        self.session = Session(credentials, self._authenticate)
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

    async def call(self, method: Method, request: Any, within: float | None = None) -> Any:
        """Ask, and get the answer of the wire; raises EtcdError.

        `within`: seconds at each endpoint, if other than the client's.
        """
        metadata = await self.session.metadata()
        try:
            return await self._ask(method, request, metadata, within)
        except AccessRefused as refusal:
            if not self.session.renew(metadata, refusal):
                raise
        return await self._ask(method, request, await self.session.metadata(), within)

    async def call_each(self, method: Method, request: Any, within: float) -> dict[str, Any]:
        """Ask all endpoints at the same time: by its URL each answer within so many seconds, or EtcdError.

        Without access, and members without a leader answer as well.
        """
        self.endpoint()
        asking = (self._attempt(endpoint, method, request, (), within) for endpoint in self._endpoints)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, EtcdError):
                raise answer
        return dict(zip(self.urls, answers, strict=True))

    async def usable_endpoint(self) -> Endpoint:
        """An endpoint whose connection stands, the one in use first; the one in use when none does."""
        if len(self.urls) == 1:
            return self.endpoint()
        for _ in self.urls:
            endpoint = self.endpoint()
            state = endpoint.calls.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY or await self._becomes_ready(endpoint.calls, state):
                return endpoint
            self.leave(endpoint)
        return self.endpoint()

    def leave(self, endpoint: Endpoint) -> None:
        """Use another endpoint from now on, unless that has been decided meanwhile."""
        if self._endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self.urls)

    async def close(self) -> None:
        """End all channels; whatever still runs on them is cancelled."""
        endpoints, self._endpoints = self._endpoints, ()
        for endpoint in endpoints:
            await endpoint.close()

    async def _ask(
        self, method: Method, request: Any, metadata: Metadata, within: float | None = None
    ) -> Any:
        attempts = len(self.urls)
        while True:
            endpoint = await self.usable_endpoint()
            attempts -= 1
            try:
                return await self._attempt(endpoint, method, request, metadata, within or self.timeout)
            except AccessRefused:
                raise
            except EtcdUnavailable as failure:
                self.leave(endpoint)
                if metadata and isinstance(failure, NoAnswer):
                    self.session.doubt(metadata)
                if not attempts or not (method.repeatable or isinstance(failure, NoLeader)):
                    raise
            if metadata:
                metadata = await self.session.metadata()

    async def _attempt(
        self, endpoint: Endpoint, method: Method, request: Any, metadata: Metadata, within: float
    ) -> Any:
        began = time.perf_counter()
        try:
            response = await endpoint.unary(method)(request, timeout=within, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error, method.name, endpoint.url)
            if self.on_call is not None:
                self.on_call(method.name, time.perf_counter() - began, failure)
            raise failure from error
        if self.on_call is not None:
            self.on_call(method.name, time.perf_counter() - began, None)
        return response

    async def _authenticate(self, user: str, password: str) -> str:
        request = rpc.AuthenticateRequest(name=user, password=password)
        response = await self._ask(methods.AUTHENTICATE, request, ())
        token: str = response.token
        return token

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
