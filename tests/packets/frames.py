"""Frames as bytes: enough of Ethernet, IPv4, ICMP and DHCP to ask and to look (RFC 791, 792, 2131, 2132)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ETHERNET = 14
IPV4 = 0x0800
BROADCAST = b"\xff" * 6
_DHCP_COOKIE = b"\x63\x82\x53\x63"
_BOOTP = 236
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int, payload: bytes = b"gluon-ping") -> bytes:
    """An ICMP echo request, without the IP header."""
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", 8, 0, checksum(head + payload), identifier, sequence) + payload


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
        return self.type == 8

    @property
    def is_reply(self) -> bool:
        return self.type == 0


def icmp_of(frame: bytes) -> Icmp | None:
    """The ICMP message of IPv4 in an Ethernet frame, if it is one."""
    if len(frame) < ETHERNET + 28 or frame[12:14] != IPV4.to_bytes(2) or frame[23] != 1:
        return None
    return icmp_of_packet(frame[ETHERNET:])


def icmp_of_packet(packet: bytes) -> Icmp:
    body = packet[(packet[0] & 15) * 4 :]
    kind, _, _, identifier, sequence = struct.unpack("!BBHHH", body[:8])
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return Icmp(source, destination, kind, packet[8], identifier, sequence)


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


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        yield data[at], data[at + 2 : at + 2 + length]
        at += 2 + length
