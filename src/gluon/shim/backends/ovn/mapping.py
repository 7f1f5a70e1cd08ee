"""From wishes to rows. Pure functions: the same wish always gives the same rows.

- a routed service → a logical router; each subnet of it → a logical switch, and a port of the router in it at
  the gateway's address, and DHCP options
- a bound port and a service binding → a logical switch port, named by the interface, so that the default
  interface's has the name that os-vif gives the VIF (`iface-id`); those of VLAN interfaces are its children
- a service with route targets → a port of its router on one transit switch, shared by all; each imported
  prefix → a static route there

What arrives over the transit switch is looked up in a routing table of its own, in which there are only
connected networks: a hub passes nothing on from one VPN to another, whatever it imports itself. And nothing
that a guest sends to an address of the transit switch gets there: the router of another VPN would answer it
into its own networks.
"""

from __future__ import annotations

from collections.abc import Iterable

from gluon.shim.backends.ovn.addresses import (
    Address,
    IPv4Network,
    IPv6Network,
    Network,
    embedding,
    router_mac,
    slaac_address,
)
from gluon.shim.backends.ovn.options import OvnSettings
from gluon.shim.backends.ovn.rows import Kind, Row, RowId, Value
from gluon.shim.backends.ovn.wishes import Attachment, PortWish, ServiceWish, Subnet

_FROM_TRANSIT = "gluon-from-transit"
"""The routing table for what arrives over the transit switch. No route is ever put into it."""

_POLICY_PRIORITY = 32767
"""The highest: before any policy that an operator adds by hand."""

_NOBODY = "169.254.0.1"
"""Says of itself to answer DHCP where a subnet has no gateway; any link-local address does (RFC 3927)."""


class Mapping:
    """Rows of one service type (`net-l3vpn`), by the operator's settings."""

    def __init__(self, service: str, settings: OvnSettings) -> None:
        self._service = service
        self._settings = settings

    def router(self, service: ServiceWish) -> Row:
        """A routed service."""
        return Row(RowId(Kind.VPN, service.key), {"name": _name(service.key)})

    def subnet(self, subnet: Subnet, gateways: Iterable[Address], mtus: Iterable[int]) -> list[Row]:
        """A network; `gateways` are the addresses that the router has in it, `mtus` those of its ports."""
        switch = RowId(Kind.SUBNET, subnet.key)
        rows = [Row(switch, {"name": _name(subnet.key)})]
        if subnet.network is None:
            return rows
        addresses = sorted(gateways, key=int)
        if addresses:
            rows += self._gateway(subnet, subnet.network, addresses)
        router = str(addresses[0]) if addresses else None
        if subnet.network.version == 4:
            rows += [self._dhcpv4(subnet, router, mtu) for mtu in sorted(set(mtus))]
        elif list(mtus):
            rows.append(self._dhcpv6(subnet))
        return rows

    def port(self, port: PortWish) -> list[Row]:
        """A port's switch ports; none while it is unbound."""
        if not port.hosts or not port.attachments:
            return []
        rows = []
        if all(attachment.vlan is not None for attachment in port.attachments):
            # OVN knows the VIF by the default interface, so that has a port too, where nobody else is.
            trunk = RowId(Kind.TRUNK, port.key)
            rows.append(Row(trunk, {"name": _name(f"trunk-{port.key}")}, ours=port.ours))
            untagged = Attachment(port.key, "")
            rows.append(self._switch_port(port, untagged, trunk, (port.mac,), {}))
        rows += [self._attached(port, attachment) for attachment in port.attachments]
        return rows

    def networks(self, subnet: Subnet, *, has_gateway: bool) -> list[Network]:
        """All prefixes that a subnet has: one, or that of IPv6 beside it."""
        if subnet.network is None:
            return []
        embedded = self._embedded(subnet.network) if has_gateway else None
        return [subnet.network, *([embedded] if embedded is not None else [])]

    def transit(self) -> Row:
        """The switch between services that share routes."""
        return Row(self._transit_id, {"name": _name(f"transit-{self._service}")})

    def transit_links(self, service: ServiceWish, slot: int) -> list[Row]:
        """A service's link to the transit switch."""
        key = service.key
        port = self._transit_port(key)
        transit = self._transit_prefixes
        destinations = (f"ip{n.version if n.version == 6 else 4}.dst == {n}" for n in transit)
        gateway: dict[str, Value] = {
            "name": port,
            "mac": router_mac("transit", key),
            "networks": frozenset(f"{n[slot]}/{n.prefixlen}" for n in transit),
            "options": {"route_table": _FROM_TRANSIT},
        }
        router = RowId(Kind.VPN, key)
        policy: dict[str, Value] = {
            "priority": _POLICY_PRIORITY,
            "match": " || ".join(destinations),
            "action": "drop",
        }
        return [
            Row(RowId(Kind.TRANSIT_GATEWAY, key), gateway, router),
            _router_side(RowId(Kind.TRANSIT_PORT, key), port, self._transit_id),
            Row(RowId(Kind.TRANSIT_POLICY, key), policy, router),
        ]

    def route(self, service: str, network: Network, slot: int) -> Row:
        """The way from a service to a prefix of the one that has this slot of the transit switch."""
        transit = self._transit_prefixes[0 if network.version == 4 else 1]
        columns: dict[str, Value] = {
            "ip_prefix": str(network),
            "nexthop": str(transit[slot]),
            "output_port": frozenset((self._transit_port(service),)),
            "route_table": "",
        }
        return Row(RowId(Kind.ROUTE, f"{service}/{network}"), columns, RowId(Kind.VPN, service))

    @property
    def slots(self) -> int:
        """How many services the transit switch has addresses for: slots 1 to this."""
        return min(self._settings.transit_prefix.num_addresses, 1 << 24) - 2

    @property
    def _transit_id(self) -> RowId:
        return RowId(Kind.TRANSIT, self._service)

    @property
    def _transit_prefixes(self) -> tuple[IPv4Network, IPv6Network]:
        return self._settings.transit_prefix, self._settings.transit_prefix_ipv6

    def _transit_port(self, service: str) -> str:
        return _name(f"{service}-transit")

    def _embedded(self, network: Network) -> IPv6Network | None:
        prefix = self._settings.ipv6_prefix
        return embedding(prefix, network) if prefix is not None and isinstance(network, IPv4Network) else None

    def _gateway(self, subnet: Subnet, network: Network, addresses: list[Address]) -> list[Row]:
        name = _name(f"{subnet.key}-gateway")
        networks = {f"{address}/{network.prefixlen}" for address in addresses}
        embedded = self._embedded(network)
        advertised: dict[str, str] = {}
        if embedded is not None:
            networks.add(f"{embedded[1]}/{embedded.prefixlen}")
            advertised = {"address_mode": "slaac"}
        elif network.version == 6:
            advertised = {"address_mode": "dhcpv6_stateful"}
        if advertised:
            advertised |= {"send_periodic": "true", "mtu": str(max(self._settings.mtu, 1280))}
        columns: dict[str, Value] = {
            "name": name,
            "mac": router_mac("gateway", subnet.key),
            "networks": frozenset(networks),
            "ipv6_ra_configs": advertised,
        }
        switch, router = RowId(Kind.SUBNET, subnet.key), RowId(Kind.VPN, subnet.service)
        return [
            Row(RowId(Kind.GATEWAY, subnet.key), columns, router),
            _router_side(RowId(Kind.GATEWAY_PORT, subnet.key), name, switch),
        ]

    def _dhcpv4(self, subnet: Subnet, router: str | None, mtu: int) -> Row:
        options = {
            "server_id": router or _NOBODY,
            "server_mac": router_mac("gateway", subnet.key),
            "lease_time": str(self._settings.dhcp_lease_time),
            "mtu": str(self._fitting(mtu)),
        }
        if router is not None:
            options["router"] = router
        if self._settings.dns_servers:
            options["dns_server"] = f"{{{', '.join(self._settings.dns_servers)}}}"
        return Row(_dhcp_id(subnet, mtu), {"cidr": str(subnet.network), "options": options})

    def _dhcpv6(self, subnet: Subnet) -> Row:
        options = {"server_id": router_mac("gateway", subnet.key)}
        return Row(_dhcp_id(subnet, 0), {"cidr": str(subnet.network), "options": options})

    def _fitting(self, mtu: int) -> int:
        return min(mtu, self._settings.mtu)

    def _attached(self, port: PortWish, attachment: Attachment) -> Row:
        switch = RowId(Kind.SUBNET, attachment.subnet.key)
        address = attachment.address
        if address is None:
            return self._switch_port(port, attachment, switch, None, {})
        known = [port.mac, str(address.ip)]
        embedded = self._embedded(address.network) if attachment.gateway is not None else None
        if embedded is not None:
            known.append(str(slaac_address(embedded, port.mac)))
        column = "dhcpv4_options" if address.version == 4 else "dhcpv6_options"
        dhcp: dict[str, Value] = {column: _dhcp_id(attachment.subnet, port.mtu)}
        return self._switch_port(port, attachment, switch, known, dhcp)

    def _switch_port(
        self,
        port: PortWish,
        attachment: Attachment,
        switch: RowId,
        known: Iterable[str] | None,
        dhcp: dict[str, Value],
    ) -> Row:
        """`known`: the addresses that the port has, and may send from; None: whatever it likes."""
        addresses = frozenset((" ".join(known),)) if known is not None else frozenset(("unknown",))
        columns: dict[str, Value] = {
            "name": attachment.interface,
            "type": "",
            "addresses": addresses,
            "port_security": addresses if known is not None else frozenset[str](),
            "enabled": frozenset((port.enabled,)),
            "dhcpv4_options": frozenset[str](),
            "dhcpv6_options": frozenset[str](),
            **dhcp,
        }
        if attachment.vlan is None:
            columns |= {"parent_name": frozenset[str](), "tag": frozenset[int](), "options": _chassis(port)}
        else:
            columns |= {
                "parent_name": frozenset((port.key,)),
                "tag": frozenset((attachment.vlan,)),
                "options": {},
            }
        return Row(RowId(Kind.INTERFACE, attachment.interface), columns, switch, ours=port.ours)


def _chassis(port: PortWish) -> dict[str, str]:
    """Which hosts may have a port, and so that the second one's is silent until the guest runs there.

    A guest that arrives says so by RARP (QEMU does), and is heard from then on.
    """
    options = {"requested-chassis": ",".join(port.hosts)}
    if len(port.hosts) > 1:
        options["activation-strategy"] = "rarp"
    return options


def _router_side(id: RowId, router_port: str, switch: RowId) -> Row:
    """The switch's end of a link between a router and a switch."""
    columns: dict[str, Value] = {
        "name": f"{router_port}-link",
        "type": "router",
        "addresses": frozenset(("router",)),
        "options": {"router-port": router_port},
    }
    return Row(id, columns, switch)


def _dhcp_id(subnet: Subnet, mtu: int) -> RowId:
    if subnet.network is not None and subnet.network.version == 6:
        return RowId(Kind.DHCPV6, subnet.key)
    return RowId(Kind.DHCPV4, f"{subnet.key}/{mtu}")


def _name(text: str) -> str:
    return f"gluon-{text.replace('/', '_')}"
