"""A controller's journal: what it has made of each object, under `/status/` in etcd.

It is written under no lease: after a restart it tells what the backend knows. An entry without its object
is a deletion that is still to be done. Owners of objects read it as the object's status.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Compare, Op
from gluon.shim.shelf import ObjectId, object_id_of
from gluon.shim.writes import Writes


class State(enum.StrEnum):
    """How far an object has come at its controller."""

    PENDING = "PENDING"
    """On its way, or to be tried again by and by; the reason says why."""
    APPLIED = "APPLIED"
    FAILED = "FAILED"
    """The controller says no, or its backend is at fault; the reason says which."""


class Phase(enum.StrEnum):
    """How far the bind of a port has come."""

    CLAIMED = "claimed"
    """Ours to bind: the backend may have been asked, the answer isn't written."""
    BOUND = "bound"
    REFUSED = "refused"
    ELSEWHERE = "elsewhere"
    """Another controller has answered."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A port's bind `bind_id`, to a host of ours."""

    host: str
    bind_id: str
    phase: Phase
    vif_type: str | None = None
    vif_details: str | None = None
    """As JSON text."""
    rejected: str | None = None
    """Why it was refused."""
    active: bool = True
    """Whether the backend knows it as the active binding of its port."""

    def shared(self) -> Binding:
        """The same, with its texts once in memory: thousands of ports have the same few hosts and VIFs."""
        host, vif_type, details = map(_interned, (self.host, self.vif_type, self.vif_details))
        return replace(self, host=host, vif_type=vif_type, vif_details=details)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal says of one object."""

    state: State
    reason: str | None
    revision_number: int | None
    """The revision of the object that `state` speaks of."""
    applied: bytes
    """The object's JSON as it was applied last; if it never was, as it was tried first."""
    context: str | None = None
    """What it depended on then (`GenericApiModel.context`)."""
    binding: Binding | None = None
    """The active binding of a port, as far as it is ours."""
    inactive: tuple[Binding, ...] = ()
    """Its inactive ones, as far as they are ours: at most one of them all for each host."""

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """All of a port that are ours, the inactive ones first."""
        return self.inactive if self.binding is None else (*self.inactive, self.binding)

    @property
    def refusals(self) -> str | None:
        """Why inactive bindings were refused; that is nothing against the port where it is active."""
        found = [f"binding on {b.host}: {b.rejected}" for b in self.inactive if b.rejected is not None]
        return "; ".join(found) or None

    def on(self, host: str) -> Binding | None:
        """The one on a host."""
        return next((binding for binding in self.bindings if binding.host == host), None)

    def without(self, host: str) -> Entry:
        """The same, but for the one on a host."""
        active = self.binding if self.binding is not None and self.binding.host != host else None
        return replace(self, binding=active, inactive=_but(self.inactive, host))

    def having(self, binding: Binding, *, active: bool) -> Entry:
        """The same with this one, as the port's active binding or not, instead of that of its host."""
        inactive = _but(self.inactive, binding.host)
        if active:
            return replace(self, binding=binding, inactive=inactive)
        return replace(self.without(binding.host), inactive=(*inactive, binding))


def _but(bindings: tuple[Binding, ...], host: str) -> tuple[Binding, ...]:
    return tuple(binding for binding in bindings if binding.host != host) if bindings else ()


class _Written(msgspec.Struct, omit_defaults=True):
    """An entry as it stands in etcd."""

    state: State
    # With a default of None a null would be left out, and readers are promised these fields.
    reason: str | None = msgspec.UNSET  # type: ignore[assignment]
    revision_number: int | None = msgspec.UNSET  # type: ignore[assignment]
    applied: msgspec.Raw = msgspec.Raw(b"{}")
    time: str = msgspec.UNSET  # type: ignore[assignment]
    context: str | None = None
    binding: Binding | None = None
    inactive: tuple[Binding, ...] = ()
    backend: str | None = None


def _interned(text: str | None) -> Any:
    return sys.intern(text) if text is not None else None


_decoder = msgspec.json.Decoder(_Written)
_encoder = msgspec.json.Encoder()


class Journal:
    """The entries of one controller for one service, as they are in etcd."""

    def __init__(
        self, keys: Keys, service: str, controller: str, backend: str | None, writes: Writes
    ) -> None:
        """`backend`: its name in `handlers`, by which servers may wait for it."""
        self._backend = backend
        self._keys = keys
        self._service = service
        self._controller = controller
        self._writes = writes
        self._entries: dict[str, dict[str, Entry]] = {}
        self.states = dict.fromkeys(State, 0)
        """How many objects are in which state."""

    def get(self, object_id: ObjectId) -> Entry | None:
        """The entry of an object, if there is one."""
        entries = self._entries.get(object_id.object_name)
        return entries.get(object_id.key) if entries is not None else None

    def ids(self) -> Iterator[ObjectId]:
        """All objects that have an entry; not to be used across an `await`."""
        return (ObjectId(name, key) for name, entries in self._entries.items() for key in entries)

    @property
    def prefix(self) -> str:
        """Below it are the entries of all controllers for this service."""
        return self._keys.statuses(self._service)

    def load(self, item: KeyValue, kept: Callable[[ObjectId], bytes | None]) -> None:
        """Take an entry from etcd, if it is ours; raises ValueError for one that makes no sense.

        `kept` gives the text of an object that is in memory already: most often it is what was applied.
        """
        segments = self._keys.parse(item.key).segments
        if len(segments) != 4 or segments[3] != self._controller:
            return
        try:
            written = _decoder.decode(item.value)
        except msgspec.DecodeError as error:
            raise ValueError(f"{item.key}: {error}") from error
        object_id = object_id_of(segments)
        applied, raw = memoryview(written.applied), kept(object_id)
        entry = Entry(
            written.state,
            written.reason or None,
            written.revision_number or None,
            raw if raw is not None and applied == raw else bytes(applied),
            written.context,
            written.binding.shared() if written.binding is not None else None,
            tuple(binding.shared() for binding in written.inactive),
        )
        self.remember(object_id, entry)

    def remember(self, object_id: ObjectId, entry: Entry | None) -> None:
        """The entry has been written (None: deleted) in a transaction."""
        entries = self._entries.setdefault(object_id.object_name, {})
        before = entries.pop(object_id.key, None)
        if before is not None:
            self.states[before.state] -= 1
        if entry is not None:
            entries[object_id.key] = entry
            self.states[entry.state] += 1

    def operation(self, object_id: ObjectId, entry: Entry | None) -> Op:
        """What writes an entry (None: deletes it), for a transaction of others."""
        key = self._keys.status(self._service, *object_id, self._controller)
        return Op.delete(key) if entry is None else Op.put(key, _encode(entry, self._backend))

    async def write(self, object_id: ObjectId, entry: Entry | None, compare: Sequence[Compare] = ()) -> None:
        """Write an entry (None: delete it). Raises EtcdError."""
        await self._writes.transact(compare, (self.operation(object_id, entry),))
        self.remember(object_id, entry)


def _encode(entry: Entry, backend: str | None) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    written = _Written(
        entry.state,
        entry.reason,
        entry.revision_number,
        msgspec.Raw(entry.applied),
        now,
        entry.context,
        entry.binding,
        entry.inactive,
        backend,
    )
    return _encoder.encode(written)
