"""Wishes for tests, with what they don't care about left out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from gluon.shim.backends.ovn.options import OvnSettings
from gluon.shim.backends.ovn.wishes import Attachment, PortWish, ServiceWish, Target, Topology

SETTINGS = OvnSettings(connection="unix:/nowhere", owner="gluon")
MAC = "02:00:00:00:00:01"


def vpn(key: str, imports: Iterable[str] = (), exports: Iterable[str] = (), since: str = "") -> ServiceWish:
    wanted, given = (frozenset(Target("ipv4", value) for value in values) for values in (imports, exports))
    return ServiceWish(key, Topology.ROUTED, since=since, imports=wanted, exports=given)


def attachment(service: str, address: str, *, interface: str = "p", vlan: int | None = None) -> Attachment:
    """In the prefix of `address` (10.0.0.5/24), whose first address is the gateway."""
    with_prefix = ipaddress.ip_interface(address)
    return Attachment(interface, service, vlan, with_prefix, with_prefix.network[1])


def port(
    *attachments: Attachment, key: str = "p", hosts: Iterable[str] = ("h1",), mtu: int = 1500
) -> PortWish:
    return PortWish(key, MAC, mtu, hosts=tuple(hosts), attachments=attachments)
