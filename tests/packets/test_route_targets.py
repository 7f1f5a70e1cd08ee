"""VPNs that share routes, and where that ends."""

from __future__ import annotations

from packets.lab import ADMINS, SILENCE, Lab, Machine, Vpn, eventually

_OTHER_TENANT = "b" * 32


def _site(lab: Lab, name: str, address: str, host: str, *targets: str) -> tuple[Vpn, Machine]:
    vpn = lab.api.create_vpn(name, *targets)
    return vpn, lab.boot(vpn, address, host)


def test_routes_are_shared_while_a_config_says_so(lab: Lab) -> None:
    _, one = _site(lab, "one", "10.11.0.10", "host-1", "64512:1")
    vpn, other = _site(lab, "other", "10.12.0.10", "host-2", "64512:1")
    _, stranger = _site(lab, "stranger", "10.13.0.10", "host-2", "64512:99")
    assert one.guest.ping(other.address, SILENCE) is None

    lab.api.allow_target("64512:1", "both")
    assert one.guest.ping(other.address) is not None
    assert one.guest.ping(other.address6) is not None
    assert stranger.guest.ping(other.address, SILENCE) is None

    # A subnet that comes later is shared as well, and goes again with its last port.
    later = lab.boot(vpn, "10.14.0.10", "host-1")
    assert one.guest.ping(later.address) is not None
    later.delete()
    one.hears_no_more_of(later.address)

    lab.api.set_targets(vpn)
    one.hears_no_more_of(other.address)
    lab.api.set_targets(vpn, "64512:1")
    assert one.guest.ping(other.address) is not None

    lab.api.forbid_target("64512:1")
    one.hears_no_more_of(other.address)


def test_another_tenants_config_opens_nothing_but_an_administrators_does(lab: Lab) -> None:
    _, one = _site(lab, "thief", "10.15.0.10", "host-1", "64512:2", "64512:4")
    _, other = _site(lab, "robbed", "10.16.0.10", "host-2", "64512:2", "64512:4")

    lab.api.allow_target("64512:2", "both", tenant=_OTHER_TENANT)
    lab.api.allow_target("64512:3", "both")
    lab.databases.nbctl("--wait=hv", "sync")

    with other.guest.capture() as capture:
        assert one.guest.ping(other.address, SILENCE) is None
        assert capture.requests() == []

    lab.api.allow_target("64512:4", "both", tenant=ADMINS)
    assert one.guest.ping(other.address) is not None


def test_a_hub_reaches_its_spokes_and_passes_nothing_on(lab: Lab) -> None:
    for value in ("64512:11", "64512:12"):
        lab.api.allow_target(value, "both")
    hub_vpn = lab.api.create_vpn("hub", "64512:11", "64512:12")
    # The hub's prefix covers those of the spokes: they send it what is for each other.
    hub = lab.create(lab.api, "10.200.0.10")
    lab.api.join(hub.port, hub_vpn, hub.address, "10.200.0.0/14")
    hub.start("host-1")
    hub.guest.ask_for_address()
    for spoke in ("10.201.0.0/24", "10.202.0.0/24"):
        hub.guest.namespace.ip("route", "add", spoke, "via", "10.200.0.1")
    _, left = _site(lab, "left", "10.201.0.10", "host-1", "64512:11")
    _, right = _site(lab, "right", "10.202.0.10", "host-2", "64512:12")

    assert left.guest.ping(hub.address) is not None
    assert right.guest.ping(hub.address) is not None
    with right.guest.capture() as capture:
        assert left.guest.ping(right.address, 2 * SILENCE) is None
        assert capture.requests() == []


def test_one_way_imports_carry_packets_one_way(lab: Lab) -> None:
    giver = lab.sites.create_service("vpns", "giver", exports="64512:21")
    taker = lab.sites.create_service("vpns", "taker", imports="64512:21")
    given = lab.prepare(giver, "2001:db8:21::10", "host-1")
    taking = lab.prepare(taker, "2001:db8:22::10", "host-2")
    for machine in (given, taking):
        assert machine.guest.ask_for_address6() == machine.address
        machine.guest.await_router6()

    with given.guest.capture() as capture, taking.guest.pinger(given.address) as pinger:
        requests = eventually(lambda: pinger.run(0.1) or capture.requests6(), what="a packet one way")
        assert {(r.source, r.destination) for r in requests} == {(taking.address, given.address)}
        pinger.run(SILENCE)
        assert pinger.answers == []
    with taking.guest.capture() as capture:
        assert given.guest.ping(taking.address, SILENCE) is None
        assert capture.requests6() == []

    lab.sites.request("PUT", f"vpns/{giver.key}", 200, {"imports": "64512:22"})
    lab.sites.request("PUT", f"vpns/{taker.key}", 200, {"exports": "64512:22"})
    assert taking.guest.ping(given.address) is not None


def test_guests_reach_no_other_router_over_the_transit_network(lab: Lab) -> None:
    lab.api.allow_target("64512:31", "both")
    _, prober = _site(lab, "prober", "10.31.0.10", "host-1", "64512:31")
    # Of the same address as the prober, so that an answer of its router would come to it.
    _, victim = _site(lab, "victim", "10.31.0.10", "host-2", "64512:31")
    ports = lab.databases.rows("Logical_Router_Port", "networks", "options")
    networks = [network for port in ports if "route_table" in port["options"] for network in port["networks"]]
    addresses = [network.partition("/")[0] for network in networks if "." in network]
    assert len(addresses) >= 2

    with victim.guest.capture() as capture:
        answered = [a for a in addresses if prober.guest.ping(a, 0.2) is not None]
        assert [message for message in capture.messages() if message.source in addresses] == []
    # Its own router's, if any.
    assert len(answered) <= 1
