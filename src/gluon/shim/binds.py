"""The binds that a port asks for, and what a journal's entry says of them.

A port asks for at most one active bind, and for any number of inactive ones, on other hosts. A bind keeps
its bind_id when it turns from the one kind into the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gluon.shim.journal import Binding, Entry, Phase

OURS = (Phase.CLAIMED, Phase.BOUND)
"""The phases in which the backend has the port on a host, or may have it."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A bind that a port asks for."""

    host: str
    bind_id: str
    active: bool = True
    says: Mapping[str, Any] = field(default_factory=dict)
    """Of an inactive one: what stands for the attributes of the port that speak of its binding."""


class _Inactive(msgspec.Struct):
    host: str | None = None
    bind_id: str | None = None
    profile: str | None = None
    vif_type: str | None = None
    vif_details: str | None = None


class _BindFields(msgspec.Struct):
    host_id: str | None = None
    bind_id: str | None = None
    bindings: list[_Inactive] | None = None


_bind_fields = msgspec.json.Decoder(_BindFields)


def binds_of(raw: bytes) -> tuple[Bind, ...]:
    """All binds that a port asks for, whoever they are for; the active one first."""
    fields = _bind_fields.decode(raw)
    active = fields.host_id and fields.bind_id
    binds = (Bind(fields.host_id, fields.bind_id),) if active else ()  # type: ignore[arg-type]
    return (*binds, *_inactive(fields.bindings)) if fields.bindings else binds


def _inactive(bindings: list[_Inactive]) -> Iterator[Bind]:
    for binding in bindings:
        if binding.host and binding.bind_id:
            says = {
                "host_id": binding.host,
                "bind_id": binding.bind_id,
                "profile": binding.profile,
                "vif_type": binding.vif_type,
                "vif_details": binding.vif_details,
            }
            yield Bind(binding.host, binding.bind_id, active=False, says=says)


def same_bind(binds: Collection[Bind], bind: Bind | Binding) -> Bind | None:
    """A bind among others, whether it is the active one there or not."""
    return next((b for b in binds if b.bind_id == bind.bind_id and b.host == bind.host), None)


def holds_port(entry: Entry) -> bool:
    """Whether the backend has the port somewhere, or may have it."""
    return any(binding.phase in OURS for binding in entry.bindings)


def placed(entry: Entry, binds: Collection[Bind]) -> Entry:
    """The entry with each binding in the place that the port gives it by now: the active one, or others.

    One that has become active is still written down as one that the backend knows as inactive.
    """
    if not entry.inactive and (entry.binding is None or not _is_demoted(entry.binding, binds)):
        return entry
    active = entry.binding if entry.binding is None or not _is_demoted(entry.binding, binds) else None
    for binding in entry.bindings:
        found = same_bind(binds, binding)
        if found is not None and found.active:
            active = binding
    inactive = [replace(b, active=False) if b.active else b for b in entry.bindings if b is not active]
    return replace(entry, binding=active, inactive=tuple(inactive))


def _is_demoted(binding: Binding, binds: Collection[Bind]) -> bool:
    found = same_bind(binds, binding)
    return found is not None and not found.active


def leaving(entry: Entry, binds: Collection[Bind]) -> tuple[Binding, ...]:
    """What the backend has of the port and must let go of before anything else."""
    return tuple(binding for binding in entry.bindings if binding.phase in OURS and _leaves(binding, binds))


def _leaves(binding: Binding, binds: Collection[Bind]) -> bool:
    bind = next((b for b in binds if b.host == binding.host), None)
    if bind is None:
        return True
    # A bind that was never finished goes on as the new one.
    return bind.bind_id != binding.bind_id and binding.phase is Phase.BOUND


def without_old(entry: Entry, binds: Collection[Bind]) -> Entry:
    """The entry without what it says of binds that were refused, or went to another, and are over."""
    for binding in entry.bindings:
        if binding.phase not in OURS and same_bind(binds, binding) is None:
            entry = entry.without(binding.host)
    return entry
