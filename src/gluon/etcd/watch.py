"""A watch of the keys below a prefix, that ends with an error rather than in silence."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc.aio

from gluon.etcd import methods
from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.connection import Connection
from gluon.etcd.endpoint import Endpoint
from gluon.etcd.errors import (
    AccessRefused,
    EtcdError,
    EtcdUnavailable,
    WatchCancelled,
    WatchCompacted,
    from_rpc_error,
    from_status,
)
from gluon.etcd.history import History
from gluon.etcd.records import Event, WatchBatch
from gluon.etcd.session import Metadata
from gluon.etcd.transaction import wire_key

_PATH = "/etcdserverpb.Watch/Watch"
_ASK_FOR_PROGRESS = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())


class Watch:
    """Events of keys in `[key, range_end)` from `start_revision` on (0: from now on), batch by batch.

    Use it as `async with … as watch: async for batch in watch`, or iterate right away and `close` it. It
    ends by raising only: WatchCompacted, WatchCancelled, HistoryLost, or EtcdUnavailable when the connection
    breaks or etcd is silent. Silence: after the client's timeout without a word etcd is asked for its
    progress, and given the same time again to say anything at all.

    Answers to such questions prove life, and nothing else: up to etcd 3.4.24 and 3.5.7 they may overtake
    events of the revision that they name (etcd issue 15220). The notices that etcd sends by itself can't;
    with `progress` they come as batches without events.
    """

    def __init__(
        self,
        connection: Connection,
        history: History,
        key: str,
        range_end: bytes,
        start_revision: int,
        *,
        progress: bool,
        previous: bool = False,
    ) -> None:
        self.key = key
        self.revision = 0
        self.heard_at = time.monotonic()
        """When etcd last said anything, be it an event, a notice, or an answer to whether it is there."""
        self._connection = connection
        self._history = history
        self._start_revision = start_revision
        self._timeout = connection.timeout
        self._progress = progress
        self._request = rpc.WatchRequest(
            create_request=rpc.WatchCreateRequest(
                key=wire_key(key),
                range_end=range_end,
                start_revision=start_revision,
                progress_notify=progress,
                prev_kv=previous,
            )
        )
        self._endpoint: Endpoint | None = None
        self._metadata: Metadata = ()
        self._call: Any = None
        self._reading: asyncio.Future[Any] | None = None
        self._watch_id = 0
        self._losses = history.losses

    async def open(self) -> int:
        """Start the watch; the revision that etcd was at then. Iterating does it as well."""
        metadata = self._metadata = await self._connection.session.metadata()
        endpoint = self._endpoint = await self._connection.usable_endpoint()
        self._losses = self._history.losses
        stream = endpoint.watches.stream_stream(
            _PATH, rpc.WatchRequest.SerializeToString, rpc.WatchResponse.FromString
        )
        self._call = stream(metadata=metadata)
        try:
            async with asyncio.timeout(self._timeout):
                await self._write(self._request)
                created = await self._read()
        except TimeoutError as error:
            self._connection.session.doubt(metadata)
            raise self._away("didn't begin", error) from error
        except BaseException:
            self.close()
            raise
        self._check(created)
        if created.header.revision < self._start_revision - 1:
            await self._ensure_future_is_near()
        self._watch_id = created.watch_id
        self.revision = created.header.revision
        return self.revision

    async def _ensure_future_is_near(self) -> None:
        """Raises HistoryLost when the cluster, not only the member that we watch at, is behind our start.

        etcd would wait without a word for a revision that is far in the future of an etcd that was wiped.
        """
        try:
            mark = self._history.mark()
            request = rpc.RangeRequest(key=self._request.create_request.key, keys_only=True)
            now = await self._connection.call(methods.RANGE, request)
            self._history.observe(now.header, mark)
            if now.header.revision < self._start_revision - 1:
                self._history.lost_in_watch(now.header, self._start_revision)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the watch."""
        if self._reading is not None:
            self._reading.cancel()
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Watch:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchBatch:
        if self._call is None:
            await self.open()
        try:
            while True:
                response = await self._next_response()
                self._check(response)
                if response.events:
                    return self._batch(response)
                if self._progress and response.watch_id == self._watch_id and not response.created:
                    self.revision = response.header.revision
                    self._history.observe_events(self.revision, self._losses)
                    return WatchBatch([], self.revision)
        except BaseException:
            self.close()
            raise

    def _batch(self, response: rpc.WatchResponse) -> WatchBatch:
        events = []
        for event in response.events:
            kv = event.kv
            value = None if event.type == rpc.Event.DELETE else kv.value
            events.append(
                Event(
                    kv.key.decode("utf-8", "surrogateescape"),
                    value,
                    kv.mod_revision,
                    created=value is not None and kv.create_revision == kv.mod_revision,
                    previous=event.prev_kv.value if event.HasField("prev_kv") else None,
                )
            )
        # The header names etcd's revision; while a watch catches up, that is ahead of what was told.
        self.revision = events[-1].mod_revision
        self._history.observe_events(self.revision, self._losses)
        return WatchBatch(events, self.revision)

    def _check(self, response: rpc.WatchResponse) -> None:
        self.heard_at = time.monotonic()
        self._history.observe_cluster(response.header)
        if response.canceled:
            if response.compact_revision:
                raise WatchCompacted(self.key, response.compact_revision)
            raise self._cancelled(response.cancel_reason)

    def _cancelled(self, reason: str) -> EtcdError:
        failure = from_status(None, reason, f"watch of {self.key}", self._url())
        if isinstance(failure, AccessRefused):
            return self._failed(failure)
        reason = reason or "no reason given"
        return WatchCancelled(f"etcd at {self._url()} cancelled the watch of {self.key}: {reason}")

    async def _next_response(self) -> rpc.WatchResponse:
        # Cancelling a read of gRPC's cancels the whole stream, so a read that takes long is waited for anew.
        reading = self._reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait((reading,), timeout=self._timeout)
            if not reading.done():
                await self._ask(reading)
            response: rpc.WatchResponse = reading.result()
            return response
        finally:
            if not reading.done():
                reading.cancel()

    async def _ask(self, reading: asyncio.Future[rpc.WatchResponse]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._write(_ASK_FOR_PROGRESS)
                await asyncio.wait((reading,))
        except TimeoutError as error:
            raise self._away("has been silent", error) from error

    async def _write(self, request: rpc.WatchRequest) -> None:
        try:
            await self._call.write(request)
        except grpc.aio.AioRpcError as error:
            raise self._failed(from_rpc_error(error, f"watch of {self.key}", self._url())) from error
        except asyncio.InvalidStateError as error:
            raise await self._ended() from error

    async def _read(self) -> rpc.WatchResponse:
        try:
            response: rpc.WatchResponse = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failed(from_rpc_error(error, f"watch of {self.key}", self._url())) from error
        if response is grpc.aio.EOF:
            raise await self._ended()
        return response

    async def _ended(self) -> EtcdError:
        code, details = await self._call.code(), await self._call.details()
        if code is grpc.StatusCode.OK:
            return self._away("was closed by the server", None)
        return self._failed(from_status(code, details, f"watch of {self.key}", self._url()))

    def _away(self, what: str, cause: BaseException | None) -> EtcdUnavailable:
        self.close()
        waited = f" for {self._timeout:g} s" if cause is not None else ""
        failure = EtcdUnavailable(f"etcd at {self._url()}: the watch of {self.key} {what}{waited}")
        self._failed(failure)
        return failure

    def _failed(self, failure: EtcdError) -> EtcdError:
        if isinstance(failure, AccessRefused):
            self._connection.session.renew(self._metadata, failure)
        elif isinstance(failure, EtcdUnavailable) and self._endpoint is not None:
            self._connection.leave(self._endpoint)
        return failure

    def _url(self) -> str:
        return self._endpoint.url if self._endpoint is not None else self._connection.url
