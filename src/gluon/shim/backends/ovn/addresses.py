"""Addresses that nobody chooses: what a guest makes of its MAC address, what routers are given."""

from __future__ import annotations

import hashlib
import ipaddress
import re

IPv4Network = ipaddress.IPv4Network
IPv6Network = ipaddress.IPv6Network
IPv4Interface = ipaddress.IPv4Interface
IPv6Interface = ipaddress.IPv6Interface
Network = IPv4Network | IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
InterfaceAddress = IPv4Interface | IPv6Interface

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")


def plain_mac(text: str) -> str:
    """A MAC address in lower case with colons, as OVN wants it; raises ValueError."""
    mac = text.lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is no MAC address")
    return mac.replace("-", ":")


def router_mac(*names: str) -> str:
    """A MAC address for a router's port, always the same for the same names (locally administered)."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=5).hexdigest()
    return ":".join(("0e", *(digest[at : at + 2] for at in range(0, 10, 2))))


def embedding(prefix: IPv6Network, network: IPv4Network) -> IPv6Network:
    """The /64 that an IPv4 subnet has in an IPv6 prefix of 32 bits, put together as 6rd does (RFC 5969)."""
    number = int(prefix.network_address) | int(network.network_address) << 64
    return IPv6Network((number, 64))


def slaac_address(network: IPv6Network, mac: str) -> ipaddress.IPv6Address:
    """The address that a guest makes of a /64 and its MAC address (modified EUI-64: RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return network[int.from_bytes(identifier)]
