"""Packets within one VPN, and none between two."""

from __future__ import annotations

from packets.lab import Lab


def test_ping_in_a_subnet_between_subnets_and_hosts(lab: Lab) -> None:
    vpn = lab.api.create_vpn("blue")
    one = lab.boot(vpn, "10.0.1.10", "host-1")
    beside = lab.boot(vpn, "10.0.1.11", "host-1")
    across = lab.boot(vpn, "10.0.1.12", "host-2")
    routed = lab.boot(vpn, "10.0.2.10", "host-2")

    assert one.guest.ping(beside.address) is not None
    assert one.guest.ping(across.address) is not None
    assert one.guest.ping(routed.address) is not None
