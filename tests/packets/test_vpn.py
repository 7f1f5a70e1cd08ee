"""Packets within one VPN, and none between two."""

from __future__ import annotations

import ipaddress

import pytest

from packets.frames import arp_request, is_arp_reply, tagged_echo
from packets.lab import IPV6_PREFIX, SILENCE, Lab, Machine


@pytest.fixture(scope="module")
def blue(lab: Lab) -> dict[str, Machine]:
    """Four machines in one VPN, in two subnets, on two hosts."""
    vpn = lab.api.create_vpn("blue")
    return {
        "one": lab.boot(vpn, "10.0.1.10", "host-1"),
        "beside": lab.boot(vpn, "10.0.1.11", "host-1"),
        "across": lab.boot(vpn, "10.0.1.12", "host-2"),
        "routed": lab.boot(vpn, "10.0.2.10", "host-2"),
    }


@pytest.mark.parametrize("other", ["beside", "across", "routed"])
def test_ping_on_one_host_across_hosts_and_across_subnets(blue: dict[str, Machine], other: str) -> None:
    assert blue["one"].guest.ping(blue[other].address) is not None


def test_between_subnets_there_is_one_router(blue: dict[str, Machine]) -> None:
    with blue["one"].guest.pinger(blue["routed"].address) as pinger:
        assert pinger.first(10.0) is not None
        assert pinger.answers[0].ttl == 63


def test_ovn_hands_out_the_address_that_the_api_was_told(lab: Lab, blue: dict[str, Machine]) -> None:
    lease = blue["routed"].guest.ask_for_address()

    assert (lease.address, lease.prefix_length, lease.router) == ("10.0.2.10", 24, "10.0.2.1")
    # The port's own is 1500, which doesn't fit into the tunnel.
    assert lease.mtu == 1400


def test_nova_is_told_what_it_must_not_guess(blue: dict[str, Machine]) -> None:
    vif = blue["one"].vif

    assert (vif["bridge_name"], vif["datapath_type"], vif["port_filter"]) == ("br-int", "netdev", True)


def test_ipv6_beside_ipv4(blue: dict[str, Machine]) -> None:
    address = blue["routed"].address6

    assert ipaddress.ip_address(address) in ipaddress.ip_network(IPV6_PREFIX)
    assert blue["one"].address6
    assert blue["one"].guest.ping(address) is not None


def test_ipv6_addresses_that_the_api_was_told(lab: Lab) -> None:
    vpn = lab.sites.create_service("vpns", "six")
    one = lab.prepare(vpn, "2001:db8:1::10", "host-1")
    other = lab.prepare(vpn, "2001:db8:2::10", "host-2")
    for machine in (one, other):
        assert machine.guest.ask_for_address6() == machine.address
        machine.guest.await_router6()

    assert one.guest.ping(other.address) is not None


def test_two_vpns_with_equal_addresses_never_meet(lab: Lab, blue: dict[str, Machine]) -> None:
    red = lab.api.create_vpn("red")
    one = lab.boot(red, "10.0.1.10", "host-1")
    routed = lab.boot(red, "10.0.2.10", "host-2")

    for sender, receiver, stranger in (
        (blue["one"], blue["routed"], routed),
        (one, routed, blue["routed"]),
    ):
        with receiver.guest.capture() as received, stranger.guest.capture() as strayed:
            assert sender.guest.ping("10.0.2.10") is not None
            assert received.requests()
            assert strayed.requests() == []
    # Only in blue is there anybody at this address.
    with blue["beside"].guest.capture() as strayed:
        assert one.guest.ping("10.0.1.11", SILENCE) is None
        assert strayed.requests() == []


def test_a_guest_can_not_send_from_another_address(blue: dict[str, Machine]) -> None:
    sender, receiver = blue["beside"], blue["routed"]
    sender.guest.namespace.ip("addr", "add", "10.0.1.77/24", "dev", "eth0")

    with receiver.guest.capture() as capture:
        assert sender.guest.ping(receiver.address, SILENCE, source="10.0.1.77") is None
        assert sender.guest.ping(receiver.address) is not None
        sources = {request.source for request in capture.requests()}

    assert sources == {sender.address}


def test_a_vlan_interface_is_in_a_vpn_of_its_own(lab: Lab) -> None:
    vpn = lab.api.create_vpn("trunked")
    plain = lab.boot(vpn, "10.3.0.10", "host-2")
    trunk = lab.create(lab.api, "10.3.0.20")
    interface = lab.api.add_vlan(trunk.port, 42)
    lab.api.join(interface, vpn, "10.3.0.20")
    trunk.start("host-1")

    mac = trunk.guest.mac
    asked = arp_request(mac, "10.3.0.20", plain.address, vlan=42)
    answered = trunk.guest.exchange(asked, lambda frame: is_arp_reply(frame, plain.address))
    assert answered
    with plain.guest.capture() as capture:
        trunk.guest.exchange(tagged_echo(mac, plain.guest.mac, "10.3.0.20", plain.address, 42))
        trunk.guest.exchange(tagged_echo(mac, plain.guest.mac, "10.3.0.20", plain.address, 43))
        requests = capture.requests_within(SILENCE)

    assert [(request.source, request.sequence) for request in requests] == [("10.3.0.20", 42)]


def test_an_e_line_passes_whatever_its_ends_send(lab: Lab) -> None:
    line = lab.lines.create_service("elines", "line", service_type="epl")
    ends = [lab.create(lab.lines, address) for address in ("192.0.2.1", "192.0.2.2")]
    for end, host in zip(ends, lab.hosts, strict=True):
        lab.lines.request(
            "POST",
            "endpoints",
            201,
            {
                "tenant_id": "a868a466bca84df18404a77db0ecac72",
                "interface_id": end.port,
                "service_id": line.key,
            },
        )
        end.start(host)
        # The customer's own addresses, of which nobody was told.
        end.guest.namespace.ip("addr", "add", f"{end.address}/24", "dev", "eth0")

    assert ends[0].guest.ping(ends[1].address) is not None
