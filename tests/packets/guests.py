"""Virtual machines as far as the network sees them: a namespace with one interface, plugged into a host."""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from packets.frames import (
    ACK,
    ADVERTISE6,
    DISCOVER,
    ECHO_REQUEST,
    ECHO_REQUEST_V6,
    OFFER,
    REPLY6,
    REQUEST,
    REQUEST6,
    SOLICIT6,
    Icmp,
    Lease,
    address6_of,
    dhcp6_request,
    dhcp_request,
    echo_request,
    icmp6_of,
    icmp_of,
    is_echo_reply,
    lease_of,
    rarp_request,
)
from packets.hosts import Host
from packets.namespaces import Namespace, Namespaces, link

_ALL = 3  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


class Guest:
    """A machine with an `eth0` of that MAC address. It has no address before it asks for one."""

    def __init__(self, namespaces: Namespaces, name: str, mac: str) -> None:
        self.name = name
        self.mac = mac
        self.namespace = namespaces.add(name)
        self._devices: dict[str, str] = {}

    def plug(self, host: Host, interface_id: str, *, inside: str = "eth0", listening: bool = True) -> None:
        """Give it an interface on a host; `listening`: whether it is up, as that of a running machine."""
        device = f"t{random.getrandbits(40):010x}"
        link(self.namespace, inside, host.namespace, device)
        self.namespace.ip("link", "set", inside, "down")
        # The kernel leaves checksums of what goes over a veth to hardware that isn't there.
        _without_offload(self.namespace, inside)
        self.namespace.ip("link", "set", inside, "address", self.mac)
        self.namespace.set(
            # A guest asks for a neighbour's address every second; here that would hide how fast the rest is.
            **{f"ipv4__neigh__{inside}__retrans_time_ms": 20, f"ipv6__conf__{inside}__accept_dad": 0},
            **{f"ipv6__conf__{inside}__router_solicitation_interval": 1},
        )
        if listening:
            self.namespace.ip("link", "set", inside, "up")
        host.plug(device, interface_id, self.mac)
        self._devices[host.name] = device

    def unplug(self, host: Host) -> None:
        """Take its interface on a host away."""
        device = self._devices.pop(host.name)
        host.unplug(device)
        host.namespace.ip("link", "del", device)

    def ask_for_address(self, *, device: str = "eth0", patience: float = 15.0) -> Lease:
        """Get an address by DHCP (RFC 2131), and use it, with its router and MTU."""
        transaction = random.randbytes(4)
        with _raw_socket(self.namespace, device) as raw:
            offer = _ask(raw, self.mac, transaction, DISCOVER, b"", OFFER, patience)
            wish = bytes((50, 4)) + socket.inet_aton(offer.address) + bytes((54, 4)) + offer.server
            lease = _ask(raw, self.mac, transaction, REQUEST, wish, ACK, patience)
        ip = self.namespace.ip
        ip("addr", "replace", f"{lease.address}/{lease.prefix_length}", "dev", device)
        ip("link", "set", device, "mtu", str(lease.mtu))
        ip("route", "replace", "default", "via", lease.router, "dev", device)
        return lease

    def ask_for_address6(self, *, device: str = "eth0", patience: float = 15.0) -> str:
        """The address that DHCPv6 gives it (RFC 8415); it is used from then on."""
        scope = self.namespace.inside(lambda: socket.if_nametoindex(device))
        transaction = random.randbytes(3)
        address = ""
        with self.namespace.inside(_dhcp6_socket) as asking:
            asking.settimeout(0.2)
            server = b""
            for kind, wanted in ((SOLICIT6, ADVERTISE6), (REQUEST6, REPLY6)):
                deadline = time.monotonic() + patience
                while True:
                    assert time.monotonic() < deadline, f"no DHCPv6 server answers {self.name}"
                    try:
                        asking.sendto(
                            dhcp6_request(self.mac, transaction, kind, server), ("ff02::1:2", 547, 0, scope)
                        )
                        answer = asking.recv(2048)
                    except OSError:
                        # No answer yet, or no link-local address to ask from.
                        continue
                    if answer[0] == wanted and answer[1:4] == transaction:
                        break
                address, server = address6_of(answer)
        self.namespace.ip("addr", "replace", f"{address}/64", "dev", device, "nodad")
        return address

    def announce(self, device: str) -> None:
        """Say that it runs behind this interface now, as QEMU does after a migration (RARP, RFC 903)."""
        with _raw_socket(self.namespace, device) as raw:
            raw.send(rarp_request(self.mac))

    def await_router6(self, *, patience: float = 15.0) -> None:
        """Return when a router has announced itself (RFC 4861)."""
        deadline = time.monotonic() + patience
        while "default" not in self.namespace.ip("-6", "route", "show"):
            assert time.monotonic() < deadline, f"no router announces itself to {self.name}"
            time.sleep(0.05)

    def exchange(
        self, frame: bytes, wanted: Callable[[bytes], bool] | None = None, *, patience: float = 10.0
    ) -> bytes | None:
        """Send a frame as it is; with `wanted` until that is true of a frame that comes, which is given."""
        with _raw_socket(self.namespace, "eth0") as raw:
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                raw.send(frame)
                if wanted is None:
                    return None
                again = time.monotonic() + 0.1
                while (left := again - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
                    found = raw.recv(2048)
                    if wanted(found):
                        return found
        return None

    def ping(
        self, address: str, patience: float = 10.0, *, every: float = 0.02, source: str = ""
    ) -> float | None:
        """Seconds until the first answer to any of many echo requests; None when there is none in time."""
        with self.pinger(address, every=every, source=source) as pinger:
            return pinger.first(patience)

    def pinger(self, address: str, *, every: float = 0.02, source: str = "") -> Pinger:
        return Pinger(self.namespace, address, every, source)

    def capture(self, device: str = "eth0") -> Capture:
        return Capture(self.namespace, device)


class Pinger:
    """Sends echo requests at a steady pace, and notes when answers come. Of IPv4, or of IPv6 (RFC 4443)."""

    def __init__(self, namespace: Namespace, address: str, every: float, source: str) -> None:
        self._address = address
        self._every = every
        self._identifier = random.getrandbits(16)
        self._sequence = 0
        self._next = 0.0
        self._is_v6 = ":" in address
        self._socket = namespace.inside(_icmp6_socket if self._is_v6 else _icmp_socket)
        if source:
            self._socket.bind((source, 0))
        self.answers: list[Answer] = []

    def first(self, patience: float) -> float | None:
        """Seconds until an answer comes."""
        began = time.monotonic()
        known = len(self.answers)
        while time.monotonic() < began + patience:
            self.run(self._every)
            if len(self.answers) > known:
                return self.answers[known].at - began
        return None

    def run(self, seconds: float) -> None:
        """Send and listen for so long."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if now >= self._next:
                self._send()
                self._next = now + self._every
            ready, _, _ = select.select([self._socket], [], [], max(0.0, min(end, self._next) - now))
            if ready:
                self._receive()

    def longest_gap(self) -> float:
        """The longest time between two answers, in seconds."""
        return max(later.at - earlier.at for earlier, later in pairwise(self.answers))

    def __enter__(self) -> Pinger:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _send(self) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        kind = ECHO_REQUEST_V6 if self._is_v6 else ECHO_REQUEST
        try:
            self._socket.sendto(echo_request(self._identifier, self._sequence, kind), (self._address, 0))
        except OSError:
            # No route, or no neighbour of that address: then there is no answer, which is what counts.
            return

    def _receive(self) -> None:
        packet, (sender, *_) = self._socket.recvfrom(2048)
        # Of IPv6 the kernel gives the message only.
        message, ttl = (packet, 0) if self._is_v6 else (packet[(packet[0] & 15) * 4 :], packet[8])
        if sender == self._address and is_echo_reply(message, self._identifier):
            self.answers.append(Answer(time.monotonic(), ttl))


@dataclass(frozen=True)
class Answer:
    """An echo reply: when it came (time.monotonic), and how often it might still have been routed."""

    at: float
    ttl: int


class Capture:
    """All that passes an interface, from when this is made."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self._socket = _raw_socket(namespace, device)
        self._socket.setblocking(False)

    def frames(self) -> list[bytes]:
        """What has come in since the last call."""
        found = []
        while True:
            try:
                frame, (_, _, kind, *_) = self._socket.recvfrom(65535)
            except BlockingIOError:
                return found
            if kind != _OUTGOING:
                found.append(frame)

    def requests(self) -> list[Icmp]:
        """The echo requests among them."""
        return [message for message in self.messages() if message.is_request]

    def requests6(self) -> list[Icmp]:
        """The echo requests of IPv6 among what has come in."""
        found = (icmp6_of(frame) for frame in self.frames())
        return [message for message in found if message is not None and message.is_request]

    def requests_within(self, seconds: float) -> list[Icmp]:
        """The echo requests that come in so long."""
        found = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                found += self.requests()
        return found

    def messages(self) -> list[Icmp]:
        """The ICMP messages among them."""
        return [message for frame in self.frames() if (message := icmp_of(frame)) is not None]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ask(
    raw: socket.socket, mac: str, transaction: bytes, kind: int, options: bytes, wanted: int, patience: float
) -> Lease:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        raw.send(dhcp_request(mac, transaction, kind, options))
        again = time.monotonic() + 0.1
        while (left := again - time.monotonic()) > 0:
            if not select.select([raw], [], [], left)[0]:
                break
            lease = lease_of(raw.recv(2048), transaction)
            if lease is not None and lease.kind == wanted:
                return lease
    raise AssertionError(f"no DHCP server answers {mac} within {patience:g} s")


def _icmp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    made.setblocking(False)
    return made


def _icmp6_socket() -> socket.socket:
    # The kernel computes the checksum of these.
    made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    made.setblocking(False)
    return made


def _dhcp6_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind(("::", 546))
    return made


def _raw_socket(namespace: Namespace, device: str) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        made.bind((device, 0))
        return made

    return namespace.inside(make)


def _without_offload(namespace: Namespace, device: str) -> None:
    """ethtool -K DEVICE tx off."""

    def switch() -> None:
        value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
        request = struct.pack("16sQ16x", device.encode(), ctypes.addressof(value))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCETHTOOL, request)

    namespace.inside(switch)


def random_mac() -> str:
    """A MAC address of nobody's: locally administered."""
    return ":".join(("02", *(f"{octet:02x}" for octet in os.urandom(5))))
