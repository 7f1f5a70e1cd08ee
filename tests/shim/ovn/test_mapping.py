from __future__ import annotations

import ipaddress
from dataclasses import replace

from gluon.shim.backends.ovn.mapping import Mapping
from gluon.shim.backends.ovn.rows import Kind, Row, RowId
from gluon.shim.backends.ovn.wishes import Attachment, PortWish
from shim.ovn.wishing import MAC, SETTINGS, attachment, port, vpn

MAPPING = Mapping("net-l3vpn", SETTINGS)


def _one(rows: list[Row], kind: Kind) -> Row:
    (found,) = [row for row in rows if row.id.kind is kind]
    return found


def test_a_subnet_has_a_switch_a_gateway_and_dhcp() -> None:
    wish = attachment("v", "10.0.0.5/24")

    rows = MAPPING.subnet(wish.subnet, [wish.gateway], [1500, 1300])

    gateway = _one(rows, Kind.GATEWAY)
    assert gateway.columns["networks"] == {"10.0.0.1/24"}
    assert gateway.parent == RowId(Kind.VPN, "v")
    assert _one(rows, Kind.GATEWAY_PORT).columns["options"] == {"router-port": gateway.columns["name"]}
    mtus = {row.columns["options"]["mtu"] for row in rows if row.id.kind is Kind.DHCPV4}
    # The port's own, unless it doesn't fit into the tunnel.
    assert mtus == {"1442", "1300"}


def test_a_subnet_without_a_gateway_is_reached_by_nobody() -> None:
    wish = replace(attachment("v", "10.0.0.5/24"), gateway=None)

    rows = MAPPING.subnet(wish.subnet, [], [1500])

    assert [row.id.kind for row in rows] == [Kind.SUBNET, Kind.DHCPV4]
    assert "router" not in _one(rows, Kind.DHCPV4).columns["options"]


def test_a_bound_port_has_its_address_and_no_other() -> None:
    row = _one(MAPPING.port(port(attachment("v", "10.0.0.5/24"))), Kind.INTERFACE)

    assert row.columns["name"] == "p"
    assert row.columns["addresses"] == row.columns["port_security"] == {f"{MAC} 10.0.0.5"}
    assert row.columns["options"] == {"requested-chassis": "h1"}
    assert row.columns["dhcpv4_options"] == RowId(Kind.DHCPV4, "v/10.0.0.0/24/1500")


def test_an_unbound_port_has_nothing() -> None:
    assert MAPPING.port(port(attachment("v", "10.0.0.5/24"), hosts=())) == []


def test_a_port_that_may_move_is_silent_where_it_does_not_run_yet() -> None:
    row = _one(MAPPING.port(port(attachment("v", "10.0.0.5/24"), hosts=("h1", "h2"))), Kind.INTERFACE)

    assert row.columns["options"] == {"requested-chassis": "h1,h2", "activation-strategy": "rarp"}


def test_vlan_interfaces_are_children_of_the_default_one() -> None:
    plain = attachment("v", "10.0.0.5/24")
    tagged = attachment("w", "10.0.0.5/24", interface="i", vlan=7)

    rows = {row.id.key: row for row in MAPPING.port(port(plain, tagged))}

    assert rows["i"].columns["parent_name"] == {"p"}
    assert rows["i"].columns["tag"] == {7}
    assert rows["i"].columns["options"] == {}
    assert rows["p"].columns["parent_name"] == frozenset()


def test_without_a_service_the_default_interface_is_alone_in_a_switch() -> None:
    rows = MAPPING.port(port(attachment("w", "10.0.0.5/24", interface="i", vlan=7)))

    trunk = _one(rows, Kind.TRUNK)
    default = next(row for row in rows if row.id == RowId(Kind.INTERFACE, "p"))
    assert default.parent == trunk.id
    assert default.columns["port_security"] == {MAC}


def test_a_line_s_ends_may_send_what_they_like() -> None:
    wish = PortWish("p", MAC, 1500, hosts=("h1",), attachments=(Attachment("p", "line"),))

    (row,) = MAPPING.port(wish)

    assert row.columns["addresses"] == {"unknown"}
    assert row.columns["port_security"] == frozenset()


def test_ipv6_beside_ipv4_where_the_operator_gives_a_prefix() -> None:
    mapping = Mapping("net-l3vpn", replace(SETTINGS, ipv6_prefix=ipaddress.IPv6Network("fd00:db8::/32")))
    wish = attachment("v", "10.1.2.5/24")

    gateway = _one(mapping.subnet(wish.subnet, [wish.gateway], [1500]), Kind.GATEWAY)
    (row,) = mapping.port(port(wish))

    # 10.1.2.0 is 0a01:0200; the guest's identifier is of its MAC address (RFC 4291, appendix A).
    assert gateway.columns["networks"] == {"10.1.2.1/24", "fd00:db8:a01:200::1/64"}
    assert gateway.columns["ipv6_ra_configs"]["address_mode"] == "slaac"
    assert row.columns["addresses"] == {f"{MAC} 10.1.2.5 fd00:db8:a01:200:0:ff:fe00:1"}


def test_ipv6_addresses_come_by_dhcp() -> None:
    wish = attachment("v", "2001:db8::5/64")

    rows = MAPPING.subnet(wish.subnet, [wish.gateway], [1500])

    assert _one(rows, Kind.GATEWAY).columns["ipv6_ra_configs"]["address_mode"] == "dhcpv6_stateful"
    (row,) = MAPPING.port(port(wish))
    assert row.columns["dhcpv6_options"] == _one(rows, Kind.DHCPV6).id


def test_what_arrives_over_the_transit_switch_sees_no_imported_routes() -> None:
    rows = MAPPING.transit_links(vpn("v"), 5)

    gateway = _one(rows, Kind.TRANSIT_GATEWAY)
    assert gateway.columns["networks"] == {"169.254.128.5/17", "fd67:6c75:6f6e::5/64"}
    table = gateway.columns["options"]["route_table"]
    assert table
    assert MAPPING.route("v", ipaddress.ip_network("10.0.0.0/24"), 9).columns["route_table"] != table
    policy = _one(rows, Kind.TRANSIT_POLICY)
    assert policy.columns["match"] == "ip4.dst == 169.254.128.0/17 || ip6.dst == fd67:6c75:6f6e::/64"
    assert policy.columns["action"] == "drop"
