"""Transactions: what must hold, what is done then, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.records import KeyValue, key_value

_OPERATORS = {
    "=": rpc.Compare.EQUAL,
    ">": rpc.Compare.GREATER,
    "<": rpc.Compare.LESS,
    "!=": rpc.Compare.NOT_EQUAL,
}
_TARGETS = {
    "version": rpc.Compare.VERSION,
    "create_revision": rpc.Compare.CREATE,
    "mod_revision": rpc.Compare.MOD,
    "value": rpc.Compare.VALUE,
    "lease": rpc.Compare.LEASE,
}


def wire_key(key: str) -> bytes:
    """A key as etcd has it (see `records.key_value`)."""
    return key.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition on a key, with the operator `=`, `!=`, `<` or `>`.

    A key that isn't there has create_revision, mod_revision, version and lease 0.
    """

    key: str
    target: str
    operator: str
    expected: int | bytes

    @classmethod
    def create_revision(cls, key: str, operator: str, expected: int) -> Compare:
        """Made in that revision; 0: not there."""
        return cls(key, "create_revision", operator, expected)

    @classmethod
    def mod_revision(cls, key: str, operator: str, expected: int) -> Compare:
        """Last written in that revision."""
        return cls(key, "mod_revision", operator, expected)

    @classmethod
    def version(cls, key: str, operator: str, expected: int) -> Compare:
        """Written so many times since it was made."""
        return cls(key, "version", operator, expected)

    @classmethod
    def value(cls, key: str, operator: str, expected: bytes) -> Compare:
        """Has this value; false for a key that isn't there, whatever the operator."""
        return cls(key, "value", operator, expected)

    @classmethod
    def lease(cls, key: str, operator: str, expected: int) -> Compare:
        """Held by that lease; 0: by none."""
        return cls(key, "lease", operator, expected)

    def message(self) -> rpc.Compare:
        """For the wire. Raises ValueError for an operator that etcd doesn't have."""
        if self.operator not in _OPERATORS:
            raise ValueError(f"{self.operator!r} is none of etcd's operators {', '.join(_OPERATORS)}")
        compare = rpc.Compare(
            key=wire_key(self.key), result=_OPERATORS[self.operator], target=_TARGETS[self.target]
        )
        setattr(compare, self.target, self.expected)
        return compare


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a transaction. A transaction may write a key only once."""

    kind: str
    key: str
    written: bytes = b""
    lease: int = 0

    @classmethod
    def put(cls, key: str, value: bytes, lease: int = 0) -> Op:
        """Write a key; its result is None."""
        return cls("put", key, value, lease)

    @classmethod
    def delete(cls, key: str) -> Op:
        """Delete a key; its result is how many there were, 0 or 1."""
        return cls("delete", key)

    @classmethod
    def get(cls, key: str) -> Op:
        """Read a key; its result is a KeyValue, or None."""
        return cls("get", key)

    def message(self) -> rpc.RequestOp:
        """For the wire."""
        key = wire_key(self.key)
        if self.kind == "put":
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=self.written, lease=self.lease))
        if self.kind == "delete":
            return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))
        return rpc.RequestOp(request_range=rpc.RangeRequest(key=key))


Result = KeyValue | int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the conditions held, the revision after it, and a result for each operation that was done."""

    succeeded: bool
    revision: int
    results: tuple[Result, ...]


def outcome(response: rpc.TxnResponse) -> Outcome:
    """From the wire."""
    return Outcome(response.succeeded, response.header.revision, tuple(map(_result, response.responses)))


def _result(response: rpc.ResponseOp) -> Result:
    kind = response.WhichOneof("response")
    if kind == "response_range":
        kvs = response.response_range.kvs
        return key_value(kvs[0]) if kvs else None
    return response.response_delete_range.deleted if kind == "response_delete_range" else None
