"""Options of the OpenDaylight backend: names and defaults as operators write them in `[shim_odl]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from gluon.shim.errors import BadConfiguration

ODL_GROUP = cfg.OptGroup("shim_odl", title="The backend for OpenDaylight (net-l3vpn-odl, odl)")
ODL_OPTIONS = [
    cfg.HostAddressOpt("odl_host", default="127.0.0.1", help="Host of OpenDaylight's RESTCONF server."),
    cfg.PortOpt("odl_port", default=8181, help="Port of OpenDaylight's RESTCONF server."),
    cfg.StrOpt("odl_user", default="admin", help="User for Basic authentication."),
    cfg.StrOpt("odl_passwd", default="admin", secret=True, help="Password of that user."),
    cfg.StrOpt(
        "restconf",
        default="auto",
        choices=["auto", "rfc8040", "draft"],
        help="How the controller speaks RESTCONF: as RFC 8040 says (/rests/data or /restconf/data), as the "
        "drafts before it did (/restconf/config), or whichever of them answers.",
    ),
    cfg.StrOpt(
        "l3vpn_module",
        default="auto",
        choices=["auto", "l3vpn-instances-interfaces", "l3vpn"],
        help="YANG module that VPNs are written by: NetVirt's of today, the older one, or whichever the "
        "controller advertises (the newer one, if both).",
    ),
    cfg.BoolOpt("https", default=False, help="Whether to speak TLS with the controller."),
    cfg.StrOpt(
        "ca_file",
        help="File of the CA's certificate (PEM) that the controller's is checked with. Default: those that "
        "the system trusts.",
    ),
    cfg.FloatOpt(
        "timeout",
        default=10.0,
        min=0.1,
        help="Seconds that one request may take. Then it counts as failed, and is tried again.",
    ),
    cfg.IntOpt(
        "max_requests", default=8, min=1, max=1000, help="Most requests that are under way at the same time."
    ),
    cfg.StrOpt(
        "owner",
        help="What tells this Gluon's entries from those of another one in the same controller. Default: the "
        "prefix of etcd's keys, or gluon without one. All shim servers of one Gluon must have the same.",
    ),
    cfg.FloatOpt(
        "audit_interval",
        default=60.0,
        min=0.1,
        help="Seconds after which all entries are read from the controller, and compared with what they "
        "should be. After the controller was away it is done at once.",
    ),
    cfg.FloatOpt(
        "stray_delay",
        default=60.0,
        min=0.0,
        help="Seconds after which an entry of ours that belongs to nothing is removed. Objects that are "
        "deleted don't wait for that; it leaves time to an etcd that was wiped, and is being written anew.",
    ),
    cfg.StrOpt(
        "bridge_name",
        default="br-int",
        help="Open vSwitch bridge on the hosts that VIFs are plugged into: the one that OpenDaylight drives.",
    ),
]

_OWNER = re.compile(r"[^/\s][^/]*")


@dataclass(frozen=True, slots=True)
class OdlSettings:
    """The options as values; times in seconds."""

    host: str = "127.0.0.1"
    port: int = 8181
    user: str = "admin"
    password: str = "admin"
    restconf: str = "auto"
    l3vpn_module: str = "auto"
    https: bool = False
    ca_file: str | None = None
    timeout: float = 10.0
    max_requests: int = 8
    owner: str = "gluon"
    audit_interval: float = 60.0
    stray_delay: float = 60.0
    bridge_name: str = "br-int"

    @property
    def url(self) -> str:
        """The controller, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.https else 'http'}://{host}:{self.port}"


def load_odl_settings(conf: cfg.ConfigOpts) -> OdlSettings:
    """Read `[shim_odl]`; raises BadConfiguration."""
    conf.register_group(ODL_GROUP)
    conf.register_opts(ODL_OPTIONS, group=ODL_GROUP)
    odl = conf.shim_odl
    if odl.ca_file and not odl.https:
        raise BadConfiguration("[shim_odl] ca_file is of no use without https = true")
    if odl.ca_file and not Path(odl.ca_file).is_file():
        raise BadConfiguration(f"[shim_odl] ca_file: there is no file {odl.ca_file}")
    owner = odl.owner or conf.etcd.prefix.strip("/").replace("/", "-") or "gluon"
    if not _OWNER.fullmatch(owner):
        raise BadConfiguration(f"[shim_odl] owner: {owner!r} must have no slash, and not begin with a space")
    return OdlSettings(
        host=odl.odl_host,
        port=odl.odl_port,
        user=odl.odl_user,
        password=odl.odl_passwd,
        restconf=odl.restconf,
        l3vpn_module=odl.l3vpn_module,
        https=odl.https,
        ca_file=odl.ca_file,
        timeout=odl.timeout,
        max_requests=odl.max_requests,
        owner=owner,
        audit_interval=odl.audit_interval,
        stray_delay=odl.stray_delay,
        bridge_name=odl.bridge_name,
    )
