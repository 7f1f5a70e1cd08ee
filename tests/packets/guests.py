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
from types import TracebackType

from packets.frames import (
    ACK,
    DISCOVER,
    OFFER,
    REQUEST,
    Icmp,
    Lease,
    dhcp_request,
    echo_request,
    icmp_of,
    icmp_of_packet,
    lease_of,
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

    def ping(
        self, address: str, patience: float = 10.0, *, every: float = 0.02, source: str = ""
    ) -> float | None:
        """Seconds until the first answer to any of many echo requests; None when there is none in time."""
        with self.pinger(address, every=every, source=source) as pinger:
            return pinger.first(patience)

    def pinger(self, address: str, *, every: float = 0.02, source: str = "") -> Pinger:
        return Pinger(self.namespace, address, every, source)

    def ping6(self, address: str, patience: float = 15.0) -> bool:
        """Whether an IPv6 address answers."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                self.namespace.run("ping", "-6", "-c1", "-W1", address)
            except RuntimeError:
                continue
            return True
        return False

    def capture(self, device: str = "eth0") -> Capture:
        return Capture(self.namespace, device)


class Pinger:
    """Sends echo requests at a steady pace, and notes when answers come."""

    def __init__(self, namespace: Namespace, address: str, every: float, source: str) -> None:
        self._address = address
        self._every = every
        self._identifier = random.getrandbits(16)
        self._sequence = 0
        self._next = 0.0
        self._socket = namespace.inside(_icmp_socket)
        if source:
            self._socket.bind((source, 0))
        self.answers: list[tuple[float, Icmp]] = []
        """When (time.monotonic) each answer came."""

    def first(self, patience: float) -> float | None:
        """Seconds until an answer comes."""
        began = time.monotonic()
        known = len(self.answers)
        while time.monotonic() < began + patience:
            self.run(self._every)
            if len(self.answers) > known:
                return self.answers[known][0] - began
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
        times = [at for at, _ in self.answers]
        return max(later - earlier for earlier, later in zip(times, times[1:], strict=False))

    def __enter__(self) -> Pinger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _send(self) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            self._socket.sendto(echo_request(self._identifier, self._sequence), (self._address, 0))
        except OSError:
            # No route, or no neighbour of that address: then there is no answer, which is what counts.
            return

    def _receive(self) -> None:
        packet, (sender, _) = self._socket.recvfrom(2048)
        found = icmp_of_packet(packet)
        if sender == self._address and found.is_reply and found.identifier == self._identifier:
            self.answers.append((time.monotonic(), found))


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
