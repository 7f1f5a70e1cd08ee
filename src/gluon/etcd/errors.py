"""What can go wrong with etcd: one class for each thing that a caller handles differently."""

from __future__ import annotations

import grpc
from grpc.aio import AioRpcError


class EtcdError(Exception):
    """etcd refused a request, or could not be asked."""


class EtcdUnavailable(EtcdError):
    """No answer: etcd is away, has no leader, is overloaded, or was silent past the deadline.

    A write that ends so may have been applied all the same.
    """


class NoLeader(EtcdUnavailable):
    """The member that was asked has lost its leader. It did nothing; another member may have a leader."""


class NoAnswer(EtcdUnavailable):
    """Silence past the deadline: from a member that is cut off, overloaded, or waits for something itself."""


class AccessRefused(EtcdUnavailable):
    """etcd lets us not in, or not do this: a wrong password, or a role that is missing.

    For who uses etcd that is as if it were away, until an operator has put it right on either side.
    """


class StaleToken(AccessRefused):
    """etcd doesn't take the token that came along, if one did, and has done nothing."""


class AuthenticationOff(EtcdError):
    """There is no token to be had: etcd lets everybody in."""


class RequestTooLarge(EtcdError):
    """A request is larger than etcd takes (by default 1.5 MiB, or 128 operations): repeating it is futile."""


class InvalidRequest(EtcdError):
    """etcd refuses a request for what it asks: repeating it is futile."""


class NoSpace(EtcdError):
    """etcd's quota is used up: it serves reads and deletions, until its space alarm is disarmed."""


class LeaseNotFound(EtcdError):
    """The lease has expired, was revoked, or never was."""


class Compacted(EtcdError):
    """The revision asked for is gone: etcd was compacted meanwhile."""


class WatchCompacted(Compacted):
    """A watch can't start, or go on, where it should: events up to `compact_revision` are gone."""

    def __init__(self, prefix: str, compact_revision: int) -> None:
        super().__init__(f"watch of {prefix}: events up to revision {compact_revision} are compacted away")
        self.compact_revision = compact_revision


class WatchCancelled(EtcdError):
    """etcd ended a watch, for a reason other than compaction."""


class HistoryLost(EtcdError):
    """The answer comes from another cluster, or from a past that this client had already left behind.

    etcd was wiped, or restored from a backup. Raised once by a client for each such loss, by whatever call
    noticed it; `History.losses` tells it to everyone else.
    """


# What etcd's own errors are recognised by: its status codes are too coarse for what callers must tell apart.
_BY_TEXT: tuple[tuple[str, type[EtcdError]], ...] = (
    ("database space exceeded", NoSpace),
    ("request is too large", RequestTooLarge),
    ("too many operations in txn request", RequestTooLarge),
    ("message larger than max", RequestTooLarge),
    ("requested lease not found", LeaseNotFound),
    ("required revision has been compacted", Compacted),
    ("etcdserver: no leader", NoLeader),
    ("authentication failed", AccessRefused),
    ("permission denied", AccessRefused),
    ("user name not found", AccessRefused),
    ("invalid auth token", StaleToken),
    ("revision of auth store is old", StaleToken),
    ("user name is empty", StaleToken),
    ("authentication is not enabled", AuthenticationOff),
)
# UNKNOWN is what a server's death in the middle of an answer may look like.
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
    }
)


def from_status(code: grpc.StatusCode | None, details: str | None, what: str, where: str) -> EtcdError:
    """The error that a gRPC status stands for; `what` was asked of the endpoint `where`."""
    text = details or ""
    message = f"etcd at {where}: {what}: {text or code}"
    for part, kind in _BY_TEXT:
        if part in text:
            return kind(message)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NoAnswer(message)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidRequest(message)
    if code in _AWAY or (
        code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL) and "etcdserver" not in text
    ):
        return EtcdUnavailable(message)
    return EtcdError(message)


def from_rpc_error(error: AioRpcError, what: str, where: str) -> EtcdError:
    """The error that a failed call stands for (to be raised `from` it)."""
    return from_status(error.code(), error.details(), what, where)
