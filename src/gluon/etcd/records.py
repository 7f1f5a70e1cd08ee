"""What etcd answers: keys with their values and revisions, listings, events, its own state."""

from __future__ import annotations

from dataclasses import dataclass

from gluon.etcd import rpc_pb2 as rpc


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it was at one revision. `version` counts its writes since its creation; `lease` 0: none."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


def key_value(kv: rpc.KeyValue) -> KeyValue:
    """From the wire. Keys that are not UTF-8 are none of ours; they come through, and back, unharmed."""
    return KeyValue(
        kv.key.decode("utf-8", "surrogateescape"),
        kv.value,
        kv.create_revision,
        kv.mod_revision,
        kv.version,
        kv.lease,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """The keys below a prefix, in their order, all as of `revision`."""

    items: list[KeyValue]
    revision: int
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Event:
    """A key got a value, or was deleted (`value` is None), in the revision `mod_revision`.

    `created`: it was not there before. `previous` is the value that it had, if the watch asks for that; None
    as well when etcd doesn't have it any more.
    """

    key: str
    value: bytes | None
    mod_revision: int
    created: bool = False
    previous: bytes | None = None


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Events in the order of their revisions; after them, the watch has told everything up to `revision`.

    Without events it is a notice of progress: nothing happened below the prefix up to `revision`.
    """

    events: list[Event]
    revision: int


@dataclass(frozen=True, slots=True)
class Status:
    """One member's own view. Sizes are in bytes; alarms as etcd spells them (`… alarm:NOSPACE`)."""

    version: str
    cluster_id: int
    member_id: int
    revision: int
    leader: int
    db_size: int
    db_size_in_use: int
    alarms: tuple[str, ...]


def status_of(response: rpc.StatusResponse) -> Status:
    """From the wire."""
    return Status(
        version=response.version,
        cluster_id=response.header.cluster_id,
        member_id=response.header.member_id,
        revision=response.header.revision,
        leader=response.leader,
        db_size=response.db_size,
        db_size_in_use=response.db_size_in_use,
        alarms=tuple(response.errors),
    )
