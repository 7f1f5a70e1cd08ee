"""Frames as bytes: enough of Ethernet, IPv4, ICMP and DHCP to ask and to look (RFC 791, 792, 2131, 2132)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ETHERNET = 14
IPV4, IPV6 = 0x0800, 0x86DD
BROADCAST = b"\xff" * 6
_DHCP_COOKIE = b"\x63\x82\x53\x63"
_BOOTP = 236
_PAYLOAD = b"gluon-ping"
ECHO_REQUEST, ECHO_REQUEST_V6 = 8, 128
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
SOLICIT6, ADVERTISE6, REQUEST6, REPLY6 = 1, 2, 3, 7


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int, kind: int = ECHO_REQUEST) -> bytes:
    """An ICMP echo request, without the IP header."""
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", kind, 0, checksum(head + _PAYLOAD), identifier, sequence) + _PAYLOAD


def is_echo_reply(message: bytes, identifier: int) -> bool:
    """Whether an ICMP message answers requests with this identifier, over IPv4 or IPv6."""
    kind, _, _, said = struct.unpack("!BBHH", message[:6])
    return kind in (0, 129) and said == identifier


@dataclass(frozen=True)
class Icmp:
    """An ICMP message as it was caught."""

    source: str
    destination: str
    type: int
    ttl: int
    identifier: int
    sequence: int

    @property
    def is_request(self) -> bool:
        return self.type in (ECHO_REQUEST, ECHO_REQUEST_V6)


def icmp_of(frame: bytes) -> Icmp | None:
    """The ICMP message of IPv4 in an Ethernet frame, if it is one."""
    if len(frame) < ETHERNET + 28 or frame[12:14] != IPV4.to_bytes(2) or frame[23] != 1:
        return None
    packet = frame[ETHERNET:]
    body = packet[(packet[0] & 15) * 4 :]
    kind, _, _, identifier, sequence = struct.unpack("!BBHHH", body[:8])
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return Icmp(source, destination, kind, packet[8], identifier, sequence)


def icmp6_of(frame: bytes) -> Icmp | None:
    """The ICMPv6 message in an Ethernet frame, if it is one (RFC 8200, 4443)."""
    if len(frame) < ETHERNET + 48 or frame[12:14] != IPV6.to_bytes(2) or frame[20] != 58:
        return None
    source, destination = (socket.inet_ntop(socket.AF_INET6, frame[at : at + 16]) for at in (22, 38))
    kind, _, _, identifier, sequence = struct.unpack("!BBHHH", frame[54:62])
    return Icmp(source, destination, kind, frame[21], identifier, sequence)


@dataclass(frozen=True)
class Lease:
    """What a DHCP server says."""

    kind: int
    address: str
    options: dict[int, bytes]

    @property
    def prefix_length(self) -> int:
        return sum(octet.bit_count() for octet in self.options[1])

    @property
    def router(self) -> str:
        return socket.inet_ntoa(self.options[3])

    @property
    def mtu(self) -> int:
        return int.from_bytes(self.options[26])

    @property
    def server(self) -> bytes:
        return self.options[54]


def dhcp_request(mac: str, transaction: bytes, kind: int, options: bytes = b"") -> bytes:
    """A DHCP message of a client that has no address yet, as a whole frame."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    # Asks for subnet mask, router, MTU and time server of the lease.
    wishes = bytes((55, 4, 1, 3, 26, 51))
    bootp = struct.pack("!BBBB4sHH16x16s192x", 1, 1, 6, 0, transaction, 0, 0x8000, hardware)
    body = bootp + _DHCP_COOKIE + bytes((53, 1, kind)) + wishes + options + b"\xff"
    udp = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return BROADCAST + hardware + IPV4.to_bytes(2) + head + udp


def lease_of(frame: bytes, transaction: bytes) -> Lease | None:
    """What a DHCP server answers to that transaction, if the frame is that."""
    if frame[12:14] != IPV4.to_bytes(2) or frame[23] != 17 or frame[36:38] != (68).to_bytes(2):
        return None
    bootp = frame[ETHERNET + 28 :]
    if bootp[4:8] != transaction or bootp[_BOOTP : _BOOTP + 4] != _DHCP_COOKIE:
        return None
    options = dict(_options(bootp[_BOOTP + 4 :]))
    return Lease(options[53][0], socket.inet_ntoa(bootp[16:20]), options)


def dhcp6_request(mac: str, transaction: bytes, kind: int, server: bytes) -> bytes:
    """A DHCPv6 message of a client that wants one address; `server`: whose offer it takes (RFC 8415)."""
    identity = struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))
    options = [(1, identity), (3, struct.pack("!III", 1, 0, 0)), (8, bytes(2))]
    if server:
        options.append((2, server))
    return bytes((kind,)) + transaction + b"".join(struct.pack("!HH", n, len(v)) + v for n, v in options)


def address6_of(answer: bytes) -> tuple[str, bytes]:
    """The address that a DHCPv6 server offers, and who that is."""
    options = _options6(answer[4:])
    # In an association (option 3) after 12 bytes of times: the address (option 5).
    return socket.inet_ntop(socket.AF_INET6, _options6(options[3][12:])[5][:16]), options[2]


def _options6(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        number, length = struct.unpack("!HH", data[:4])
        found[number], data = data[4 : 4 + length], data[4 + length :]
    return found


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        yield data[at], data[at + 2 : at + 2 + length]
        at += 2 + length


def arp_request(mac: str, source: str, wanted: str, *, vlan: int) -> bytes:
    """Who has that address? In a VLAN (RFC 826, IEEE 802.1Q)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + hardware + socket.inet_aton(source)
    return BROADCAST + hardware + _tag(vlan, 0x0806) + body + bytes(6) + socket.inet_aton(wanted)


def rarp_request(mac: str) -> bytes:
    """What is my address? Nobody answers, but switches learn where that MAC address is (RFC 903)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, 3) + hardware + bytes(4) + hardware + bytes(4)
    return BROADCAST + hardware + (0x8035).to_bytes(2) + body


def is_arp_reply(frame: bytes, address: str) -> bool:
    """Whether somebody says to have that address."""
    return (
        frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(address)
    )


def tagged_echo(mac: str, to: str, source: str, destination: str, vlan: int) -> bytes:
    """An echo request in a VLAN, whose sequence number is the VLAN's."""
    message = echo_request(1, vlan)
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 1, 0, 64, 1, 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    ethernet = bytes.fromhex(to.replace(":", "")) + bytes.fromhex(mac.replace(":", ""))
    return ethernet + _tag(vlan, IPV4) + head + message


def _tag(vlan: int, kind: int) -> bytes:
    return struct.pack("!HHH", 0x8100, vlan, kind)
