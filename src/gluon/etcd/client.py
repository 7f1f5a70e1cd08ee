"""The etcd client: keys are text, values are bytes, and every failure is an EtcdError.

Its calls answer within the timeout or raise; nothing is retried that could be done twice. It learns of lost
history from every answer (see `history`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from gluon.etcd import methods
from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.connection import CallObserver, Connection
from gluon.etcd.credentials import Credentials
from gluon.etcd.endpoint import Method
from gluon.etcd.errors import (
    Compacted,
    EtcdError,
    EtcdUnavailable,
    HistoryLost,
    LeaseNotFound,
    NoSpace,
    RequestTooLarge,
    WatchCancelled,
    WatchCompacted,
)
from gluon.etcd.history import History
from gluon.etcd.records import Event, KeyValue, Listing, Status, WatchBatch, key_value, status_of
from gluon.etcd.transaction import Compare, Op, Outcome, outcome, wire_key
from gluon.etcd.watch import Watch

__all__ = [
    "Compacted",
    "Compare",
    "Etcd",
    "EtcdError",
    "EtcdUnavailable",
    "Event",
    "HistoryLost",
    "KeyValue",
    "LeaseNotFound",
    "Listing",
    "NoSpace",
    "Op",
    "Outcome",
    "RequestTooLarge",
    "Status",
    "Watch",
    "WatchBatch",
    "WatchCancelled",
    "WatchCompacted",
]

_DELETED_AT_ONCE = 1_000
"""Keys in one DeleteRange: a deletion of very many at once slows down etcd's reads until it is restarted."""

_LISTING_ATTEMPTS = 3
"""How often a listing starts anew, when its revision was compacted away between two pages."""


class Etcd:
    """One etcd, by its endpoints (`https://host:port`, `http://…`; several are members of the same cluster).

    `timeout`: seconds that any call may take, at each endpoint that it tries. All loops of a process may
    share one client; it belongs to the event loop that it is first used in. Stop them before `close`.
    """

    def __init__(
        self, endpoints: Sequence[str], *, timeout: float = 5.0, credentials: Credentials | None = None
    ) -> None:
        self.timeout = timeout
        self._connection = Connection(endpoints, timeout, credentials or Credentials())
        self.history = History(on_loss=self._connection.session.forget)

    def observe_calls(self, observer: CallObserver) -> None:
        """Have a plain function told of every call that is over; it must not raise."""
        self._connection.on_call = observer

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All endpoints, in the order in which they were given."""
        return self._connection.urls

    @property
    def endpoint(self) -> str:
        """The endpoint in use, for messages and logs."""
        return self._connection.url

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """A key now, or as it was at a revision (Compacted when that is gone)."""
        request = rpc.RangeRequest(key=wire_key(key), revision=revision)
        response = await self._call(methods.RANGE, request)
        return key_value(response.kvs[0]) if response.kvs else None

    async def list(self, prefix: str, *, revision: int = 0, page: int = 1_000) -> Listing:
        """All keys below a prefix as of one revision (0: now), read in pages of so many keys."""
        for attempt in range(_LISTING_ATTEMPTS):
            items: list[KeyValue] = []
            try:
                async for part in self.pages(prefix, revision=revision, page=page):
                    items += part.items
                    listing = part
            except Compacted:
                if revision or attempt == _LISTING_ATTEMPTS - 1:
                    raise
            else:
                break
        return Listing(items, listing.revision, listing.cluster_id)

    async def pages(self, prefix: str, *, revision: int = 0, page: int = 1_000) -> AsyncIterator[Listing]:
        """The listing in parts, one at least, all as of one revision; Compacted when that goes away."""
        key, range_end = wire_key(prefix), prefix_end(prefix)
        while True:
            request = rpc.RangeRequest(key=key, range_end=range_end, limit=page, revision=revision)
            response = await self._call(methods.RANGE, request)
            revision = revision or response.header.revision
            items = [key_value(kv) for kv in response.kvs]
            yield Listing(items, revision, response.header.cluster_id)
            if not response.more:
                return
            key = response.kvs[-1].key + b"\0"

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Write a key; the revision of that. LeaseNotFound when the lease is gone."""
        response = await self._call(methods.PUT, rpc.PutRequest(key=wire_key(key), value=value, lease=lease))
        revision: int = response.header.revision
        return revision

    async def delete(self, key: str) -> bool:
        """Delete a key; whether it was there."""
        response = await self._call(methods.DELETE, rpc.DeleteRangeRequest(key=wire_key(key)))
        return bool(response.deleted)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete all keys below a prefix, a thousand at a time; how many there were. Not one transaction."""
        key, range_end = wire_key(prefix), prefix_end(prefix)
        deleted: int = 0
        while True:
            found = await self._call(
                methods.RANGE,
                rpc.RangeRequest(key=key, range_end=range_end, limit=_DELETED_AT_ONCE, keys_only=True),
            )
            if not found.kvs:
                return deleted
            last = found.kvs[-1].key + b"\0"
            response = await self._call(
                methods.DELETE, rpc.DeleteRangeRequest(key=found.kvs[0].key, range_end=last)
            )
            deleted += response.deleted
            if not found.more:
                return deleted
            key = last

    async def transact(
        self, compare: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> Outcome:
        """Do `then` if all comparisons hold, `otherwise` if not: all of it in one revision, or nothing.

        At most 128 operations, each key written once. EtcdUnavailable leaves open whether it was done.
        """
        request = rpc.TxnRequest(
            compare=[c.message() for c in compare],
            success=[op.message() for op in then],
            failure=[op.message() for op in otherwise],
        )
        return outcome(await self._call(methods.TXN, request))

    def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        progress: bool = True,
        exact: bool = False,
        previous: bool = False,
    ) -> Watch:
        """Events of the keys below a prefix from a revision on (0: from now); `exact`: of this one key.

        `previous`: with the value that each key had before, which etcd reads anew for every event.
        """
        range_end = b"" if exact else prefix_end(prefix)
        return Watch(
            self._connection,
            self.history,
            prefix,
            range_end,
            start_revision,
            progress=progress,
            previous=previous,
        )

    async def grant(self, ttl: int) -> int:
        """A new lease of so many seconds; its id."""
        response = await self._call_unordered(methods.GRANT, rpc.LeaseGrantRequest(ttl=ttl))
        lease_id: int = response.id
        return lease_id

    async def keep_alive(self, lease_id: int, *, within: float | None = None) -> int:
        """Renew a lease; the seconds that it has now. LeaseNotFound when it is gone.

        `within`: seconds that an endpoint has for that before the next one is asked, if other than usual.
        """
        request = rpc.LeaseKeepAliveRequest(id=lease_id)
        response = await self._call_unordered(methods.KEEP_ALIVE, request, within)
        # Here, and only here, etcd says it with a number.
        if response.ttl <= 0:
            raise LeaseNotFound(f"etcd at {self.endpoint}: lease {lease_id:x} has expired")
        ttl: int = response.ttl
        return ttl

    async def revoke(self, lease_id: int) -> None:
        """End a lease, and with it the keys that it holds; LeaseNotFound when it is gone already."""
        await self._call_unordered(methods.REVOKE, rpc.LeaseRevokeRequest(id=lease_id))

    async def compact(self, revision: int) -> None:
        """Forget what was before a revision; Compacted when that has been done."""
        await self._call(methods.COMPACT, rpc.CompactionRequest(revision=revision))

    async def status(self) -> Status:
        """What the endpoint in use says of itself."""
        return status_of(await self._call_unordered(methods.STATUS, rpc.StatusRequest()))

    async def statuses(self, within: float) -> dict[str, Status | EtcdError]:
        """What each endpoint says of itself within so many seconds, or why it says nothing, by its URL."""
        answers = await self._connection.call_each(methods.STATUS, rpc.StatusRequest(), within)
        return {u: a if isinstance(a, EtcdError) else status_of(a) for u, a in answers.items()}

    async def close(self) -> None:
        """End the connections; what still runs on them is cancelled."""
        await self._connection.close()

    async def _call(self, method: Method, request: Any) -> Any:
        history = self.history
        mark = history.mark()
        response = await self._connection.call(method, request)
        history.observe(response.header, mark)
        return response

    async def _call_unordered(self, method: Method, request: Any, within: float | None = None) -> Any:
        response = await self._connection.call(method, request, within)
        self.history.observe_cluster(response.header)
        return response


def prefix_end(prefix: str) -> bytes:
    """The end of the range of all keys that begin with a prefix, as etcd wants it."""
    end = bytearray(wire_key(prefix))
    while end:
        if end[-1] < 0xFF:
            end[-1] += 1
            return bytes(end)
        del end[-1]
    return b"\0"
