"""What objects ask of OVN, as values: nothing here knows of views, or of rows."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gluon.shim.backends.ovn.addresses import Address, InterfaceAddress, Network


class Topology(enum.StrEnum):
    """What a service's views say of it (`topology`): how its ports are joined."""

    ROUTED = "routed"
    """Each prefix is a network, and a router joins them: an L3VPN."""
    POINT_TO_POINT = "point-to-point"
    """Two ports, and whatever frames one sends the other gets: an E-Line."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A route target of an address family."""

    family: str
    """`ipv4` or `ipv6`."""
    value: str


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """A service as OVN is to have it."""

    key: str
    topology: Topology
    name: str = ""
    since: str = ""
    """When it was made: of two that export the same prefix, the older one gets the traffic."""
    imports: frozenset[Target] = frozenset()
    exports: frozenset[Target] = frozenset()

    @property
    def is_connected(self) -> bool:
        """Whether it may have to do with other services."""
        return bool(self.imports or self.exports)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An interface in a service."""

    interface: str
    service: str
    vlan: int | None = None
    """The tag that tells its frames from others on the port; None for the default interface."""
    address: InterfaceAddress | None = None
    """With the length of its subnet's prefix; None where the service has no addresses."""
    gateway: Address | None = None

    @property
    def subnet(self) -> Subnet:
        """The network within the service that it is in."""
        return Subnet(self.service, self.address.network if self.address is not None else None)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network within a service."""

    service: str
    network: Network | None
    """None: the service is one network, without addresses."""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.service}/{self.network}" if self.network is not None else self.service


@dataclass(frozen=True, slots=True)
class PortWish:
    """A port as OVN is to have it."""

    key: str
    mac: str
    mtu: int
    enabled: bool = True
    hosts: tuple[str, ...] = ()
    """Those that may have it: first the one that has, then those that it may move to. None: it is unbound."""
    attachments: tuple[Attachment, ...] = ()
    ours: bool = True
    """Whether any of the hosts is this shim server's."""
