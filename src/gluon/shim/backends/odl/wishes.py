"""What Gluon's objects ask of the controller, as values."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

InterfaceAddress = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A route target of one address family (`ipv4`, `ipv6`)."""

    value: str
    family: str
    imports: bool
    exports: bool
    import_policy: str | None = None
    export_policy: str | None = None


@dataclass(frozen=True, slots=True)
class VpnWish:
    """A VPN."""

    key: str
    tenant: str
    route_distinguishers: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """An interface is in a VPN, by an address."""

    vpn: str
    address: InterfaceAddress
    gateway: Address | None = None


@dataclass(frozen=True, slots=True)
class InterfaceWish:
    """An interface of a port, with what matters of the port."""

    key: str
    port: str
    mac: str
    tenant: str
    enabled: bool = True
    vlan: int | None = None
    host: str | None = None
    """None: the port isn't bound."""
    device: str | None = None
    vnic_type: str = "normal"
    ours: bool = True
    """Whether this shim server answers for the host; if not, another one writes the interface."""
    attachments: tuple[Attachment, ...] = ()
