"""Rows as they should be in the northbound database (schema: ovn-nb(5)), as values."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SWITCH = "Logical_Switch"
SWITCH_PORT = "Logical_Switch_Port"
ROUTER = "Logical_Router"
ROUTER_PORT = "Logical_Router_Port"
ROUTE = "Logical_Router_Static_Route"
POLICY = "Logical_Router_Policy"
DHCP = "DHCP_Options"

MEMBERS: Mapping[str, tuple[str, str]] = {
    SWITCH_PORT: (SWITCH, "ports"),
    ROUTER_PORT: (ROUTER, "ports"),
    ROUTE: (ROUTER, "static_routes"),
    POLICY: (ROUTER, "policies"),
}
"""Tables whose rows live in a column of a row of another table, and go when they stand there no longer."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    SWITCH: ("name", "ports", "other_config", "external_ids"),
    SWITCH_PORT: (
        *("name", "type", "addresses", "port_security", "options", "enabled", "parent_name", "tag"),
        *("dhcpv4_options", "dhcpv6_options", "external_ids"),
    ),
    ROUTER: ("name", "ports", "static_routes", "policies", "options", "external_ids"),
    ROUTER_PORT: ("name", "mac", "networks", "options", "ipv6_ra_configs", "external_ids"),
    ROUTE: ("ip_prefix", "nexthop", "output_port", "route_table", "external_ids"),
    POLICY: ("priority", "match", "action", "external_ids"),
    DHCP: ("cidr", "options", "external_ids"),
}
"""What is read of each table: changes of other columns (a port's `up`) interest nobody here."""


class Kind(enum.StrEnum):
    """What a row is for; with the key of what it belongs to, that tells it from all others."""

    VPN = "vpn"
    SUBNET = "subnet"
    GATEWAY = "gateway"
    GATEWAY_PORT = "gateway-port"
    DHCPV4 = "dhcpv4"
    DHCPV6 = "dhcpv6"
    INTERFACE = "interface"
    TRUNK = "trunk"
    TRANSIT = "transit"
    TRANSIT_GATEWAY = "transit-gateway"
    TRANSIT_PORT = "transit-port"
    TRANSIT_POLICY = "transit-policy"
    ROUTE = "route"


TABLES: Mapping[Kind, str] = {
    Kind.VPN: ROUTER,
    Kind.SUBNET: SWITCH,
    Kind.GATEWAY: ROUTER_PORT,
    Kind.GATEWAY_PORT: SWITCH_PORT,
    Kind.DHCPV4: DHCP,
    Kind.DHCPV6: DHCP,
    Kind.INTERFACE: SWITCH_PORT,
    Kind.TRUNK: SWITCH,
    Kind.TRANSIT: SWITCH,
    Kind.TRANSIT_GATEWAY: ROUTER_PORT,
    Kind.TRANSIT_PORT: SWITCH_PORT,
    Kind.TRANSIT_POLICY: POLICY,
    Kind.ROUTE: ROUTE,
}


class RowId(NamedTuple):
    """A row, whatever uuid the database gives it; as text it stands in its external_ids."""

    kind: Kind
    key: str

    @property
    def table(self) -> str:
        """The table that rows of this kind are in."""
        return TABLES[self.kind]

    @property
    def whose(self) -> str:
        """What the row is for: the key of an interface, a port, or a service, or that of a `Subnet`."""
        if self.kind is Kind.DHCPV4:
            # One for each MTU.
            return self.key.rpartition("/")[0]
        # A route is to a network of another service.
        return self.key.partition("/")[0] if self.kind is Kind.ROUTE else self.key

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


def row_id(text: str) -> RowId:
    """The id that a row's external_ids say; raises ValueError."""
    kind, _, key = text.partition(" ")
    return RowId(Kind(kind), key)


def held_keys(ids: Iterable[RowId]) -> frozenset[str]:
    """The keys of the objects that rows are for: each row's key begins with one, but the transit switch's."""
    return frozenset(id.key.partition("/")[0] for id in ids if id.kind is not Kind.TRANSIT)


Value = str | bool | int | frozenset[str] | frozenset[int] | frozenset[bool] | Mapping[str, str] | RowId
"""Of a column: optional ones are sets of none or one; a RowId is a reference to that row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, without its tags. Columns that aren't named are at their defaults when it is made, and nobody's
    business afterwards.
    """

    id: RowId
    columns: Mapping[str, Value]
    parent: RowId | None = None
    """The row that it lives in, for tables of `MEMBERS`."""
    ours: bool = field(default=True, compare=False)
    """Whether this shim server makes it, and puts it back. Others' rows it only leaves in peace."""

    @property
    def needs(self) -> tuple[RowId, ...]:
        """The rows that must be there before this one."""
        references = tuple(v for v in self.columns.values() if isinstance(v, RowId))
        return (self.parent, *references) if self.parent is not None else references


OPTIONAL: frozenset[bool] = frozenset()
"""An optional column without a value."""
