"""Which controllers must have applied a port before it is ACTIVE: the section `[controllers]` of proton.conf.

A line for each service: `net-l3vpn = ovn, bgp?`. A name is that of a backend, as shims' `handlers` have it,
or of one shim. With a `?` it may take part, and is never waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec


class Controllers(NamedTuple):
    """The names of a service's controllers."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


NOBODY = Controllers()


@dataclass(frozen=True, slots=True)
class ControllersByService:
    """What `[controllers]` says; services that it doesn't name wait for nobody but who binds the port."""

    services: Mapping[str, Controllers] = field(default_factory=dict)

    def required(self, service: str) -> tuple[str, ...]:
        """Those that must have applied a port of the service."""
        return self.services.get(service, NOBODY).required


NO_CONTROLLERS = ControllersByService()


class _Applied(msgspec.Struct):
    bind_id: str | None = None


class JournalEntry(msgspec.Struct):
    """What one controller's journal says of a port."""

    state: str = ""
    backend: str | None = None
    applied: _Applied | None = None

    @property
    def bind_id(self) -> str | None:
        """The bind that the port had when the controller applied it last."""
        return self.applied.bind_id if self.applied is not None else None


_decoder = msgspec.json.Decoder(JournalEntry)


def read_entry(value: bytes) -> JournalEntry | None:
    """From etcd; None for what is no journal."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_meant(name: str, service: str, controller: str, backend: str | None) -> bool:
    """Whether a name in `[controllers]` is that of a controller: its own, or its backend's.

    The backend may be called by its name without the service's: `ovn` for `net-l3vpn-ovn`.
    """
    return name in (controller, backend) or backend == f"{service}-{name}"


def read_controllers(lines: Mapping[str, Iterable[str]]) -> ControllersByService:
    """From the values of each line; raises ValueError that says which is wrong, and how."""
    services = {}
    for service, texts in lines.items():
        where = f"[controllers] {service}"
        required: list[str] = []
        optional: list[str] = []
        for text in ",".join(texts).split(","):
            name = text.strip()
            wanted = optional if name.endswith("?") else required
            name = name.removesuffix("?").strip()
            if not name:
                raise ValueError(f"{where} has an entry without a name; one looks like: ovn, bgp?")
            if any(character in name for character in "?/ \t"):
                raise ValueError(f"{where}: {name!r} is not the name of a backend or a shim")
            if name in required or name in optional:
                raise ValueError(f"{where} names {name} twice")
            wanted.append(name)
        services[service] = Controllers(tuple(required), tuple(optional))
    return ControllersByService(services)
