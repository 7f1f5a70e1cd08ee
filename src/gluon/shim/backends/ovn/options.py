"""Options of the OVN backend: names and defaults as operators write them in `[shim_ovn]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from oslo_config import cfg

from gluon.shim.backends.ovn.addresses import IPv4Network, IPv6Network
from gluon.shim.errors import BadConfiguration

_TRANSIT_PREFIX = IPv4Network("169.254.128.0/17")
_TRANSIT_PREFIX_IPV6 = IPv6Network("fd67:6c75:6f6e::/64")

OVN_GROUP = cfg.OptGroup("shim_ovn", title="The backend for OVN (net-l3vpn-ovn, ovn)")
OVN_OPTIONS = [
    cfg.ListOpt(
        "connection",
        default=["unix:/var/run/ovn/ovnnb_db.sock"],
        help="Where OVN's northbound database is: unix:/PATH, tcp:HOST:PORT or ssl:HOST:PORT. All members of "
        "a cluster with commas between them; the leader is found.",
    ),
    cfg.StrOpt("private_key", help="File of the private key (PEM) for ssl: connections."),
    cfg.StrOpt("certificate", help="File of the certificate (PEM) that belongs to it."),
    cfg.StrOpt("ca_cert", help="File of the CA's certificate (PEM) that the database's is checked with."),
    cfg.FloatOpt(
        "timeout",
        default=10.0,
        min=0.5,
        help="Seconds that connecting, or one transaction, may take. Then it counts as failed, and is tried "
        "again.",
    ),
    cfg.IntOpt(
        "batch_size",
        default=1000,
        min=1,
        max=100000,
        help="Most objects whose changes go in one transaction of the northbound database.",
    ),
    cfg.StrOpt(
        "owner",
        help="What tells this Gluon's rows from those of another one in the same northbound database. "
        "Default: the prefix of etcd's keys, or gluon without one. All shim servers of one Gluon must have "
        "the same.",
    ),
    cfg.FloatOpt(
        "audit_interval",
        default=60.0,
        min=1.0,
        help="Seconds after which all rows are compared with what they should be. Changes by others that the "
        "database tells of are undone at once.",
    ),
    cfg.FloatOpt(
        "stray_delay",
        default=60.0,
        min=0.0,
        help="Seconds after which a row of ours that belongs to nothing is removed. Objects that are deleted "
        "don't wait for that; it leaves time to an etcd that was wiped, and is being written anew.",
    ),
    cfg.StrOpt(
        "bridge_name",
        default="br-int",
        help="Open vSwitch bridge on the hosts that VIFs are plugged into: OVN's integration bridge.",
    ),
    cfg.StrOpt(
        "datapath_type",
        default="system",
        choices=["system", "netdev"],
        help="Datapath of that bridge: the kernel's (system), or Open vSwitch's own (netdev). Must be as on "
        "the hosts: whoever plugs a VIF sets the bridge to what is said here.",
    ),
    cfg.IntOpt(
        "mtu",
        default=1442,
        min=576,
        max=65535,
        help="Largest IP packet of a guest that fits between the hosts, in bytes: the MTU there less 58 for "
        "Geneve over IPv4, less 78 over IPv6. Guests are told this, or their port's mtu if that is smaller.",
    ),
    cfg.ListOpt(
        "dns_servers",
        default=[],
        help="IPv4 addresses of the name servers that guests are told of.",
    ),
    cfg.IntOpt(
        "dhcp_lease_time",
        default=43200,
        min=60,
        help="Seconds that guests may keep their address without asking again.",
    ),
    cfg.StrOpt(
        "ipv6_prefix",
        help="A prefix of 32 bits, such as fd00:db8::/32, that gives every IPv4 subnet of routed services a "
        "/64 as well: the prefix and then the subnet's 32 bits. Guests make their addresses from their MAC "
        "addresses. Without it there is IPv6 only where a service binding has an IPv6 address.",
    ),
    cfg.StrOpt(
        "transit_prefix",
        default=str(_TRANSIT_PREFIX),
        help="IPv4 prefix for the links between VPNs that share routes, one address for each VPN. Guests "
        "never see it, and can't reach it; VPNs must not use it.",
    ),
    cfg.StrOpt(
        "transit_prefix_ipv6",
        default=str(_TRANSIT_PREFIX_IPV6),
        help="The same for IPv6.",
    ),
]

_N = TypeVar("_N", IPv4Network, IPv6Network)
_CONNECTION = re.compile(r"unix:.+|(tcp|ssl):(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):\d+")


@dataclass(frozen=True, slots=True)
class OvnSettings:
    """The options as values; times in seconds."""

    connection: str
    """With commas between several."""
    owner: str
    private_key: str | None = None
    certificate: str | None = None
    ca_cert: str | None = None
    timeout: float = 10.0
    batch_size: int = 1000
    audit_interval: float = 60.0
    stray_delay: float = 60.0
    bridge_name: str = "br-int"
    datapath_type: str = "system"
    mtu: int = 1442
    dns_servers: tuple[str, ...] = ()
    dhcp_lease_time: int = 43200
    ipv6_prefix: IPv6Network | None = None
    transit_prefix: IPv4Network = _TRANSIT_PREFIX
    transit_prefix_ipv6: IPv6Network = _TRANSIT_PREFIX_IPV6


def load_ovn_settings(conf: cfg.ConfigOpts) -> OvnSettings:
    """Read `[shim_ovn]`; raises BadConfiguration."""
    conf.register_group(OVN_GROUP)
    conf.register_opts(OVN_OPTIONS, group=OVN_GROUP)
    ovn = conf.shim_ovn
    for remote in ovn.connection:
        if not _CONNECTION.fullmatch(remote):
            raise BadConfiguration(
                f"[shim_ovn] connection: {remote!r} is none of unix:/PATH, tcp:HOST:PORT, ssl:HOST:PORT"
            )
    if not ovn.connection:
        raise BadConfiguration("[shim_ovn] connection is empty; name OVN's northbound database")
    _check_tls(ovn)
    return OvnSettings(
        connection=",".join(ovn.connection),
        owner=ovn.owner or conf.etcd.prefix.strip("/") or "gluon",
        private_key=ovn.private_key,
        certificate=ovn.certificate,
        ca_cert=ovn.ca_cert,
        timeout=ovn.timeout,
        batch_size=ovn.batch_size,
        audit_interval=ovn.audit_interval,
        stray_delay=ovn.stray_delay,
        bridge_name=ovn.bridge_name,
        datapath_type=ovn.datapath_type,
        mtu=ovn.mtu,
        dns_servers=tuple(_address(text) for text in ovn.dns_servers),
        dhcp_lease_time=ovn.dhcp_lease_time,
        ipv6_prefix=_ipv6_prefix(ovn.ipv6_prefix),
        transit_prefix=_network("transit_prefix", ovn.transit_prefix, ipaddress.IPv4Network),
        transit_prefix_ipv6=_network("transit_prefix_ipv6", ovn.transit_prefix_ipv6, ipaddress.IPv6Network),
    )


def _check_tls(ovn: Any) -> None:
    wanted = any(remote.startswith("ssl:") for remote in ovn.connection)
    for name in ("private_key", "certificate", "ca_cert"):
        file = ovn[name]
        if wanted and not file:
            raise BadConfiguration(f"[shim_ovn] {name} is missing; ssl: connections need it")
        if file and not Path(file).is_file():
            raise BadConfiguration(f"[shim_ovn] {name}: there is no file {file}")


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise BadConfiguration(f"[shim_ovn] dns_servers: {error}") from error


def _ipv6_prefix(text: str | None) -> IPv6Network | None:
    if not text:
        return None
    prefix = _network("ipv6_prefix", text, ipaddress.IPv6Network)
    if prefix.prefixlen != 32:
        raise BadConfiguration(f"[shim_ovn] ipv6_prefix: {text} has {prefix.prefixlen} bits; it needs 32")
    return prefix


def _network(name: str, text: str, kind: type[_N]) -> _N:
    try:
        return kind(text)
    except ValueError as error:
        raise BadConfiguration(f"[shim_ovn] {name}: {error}") from error
