"""The entries that wishes need, as NetVirt's YANG modules of today want them, or the older ones."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from gluon.shim.backends.odl.entries import Document, EntryId, Kind
from gluon.shim.backends.odl.marks import Marks
from gluon.shim.backends.odl.restconf import CURRENT, Controller
from gluon.shim.backends.odl.wishes import Attachment, InterfaceWish, Target, VpnWish
from gluon.shim.errors import PermanentError

Entries = Mapping[EntryId, Document]

_VNIS = 16777214
"""How many VXLAN network identifiers are there to choose from: 24 bits (RFC 7348), less 0 and all ones."""


def vpn_entries(
    vpn: VpnWish, attachments: Iterable[Attachment], vni: int, marks: Marks, controller: Controller
) -> Entries:
    """A VPN's network, the subnets that its ports are in, and its instance; `vni` is its network's."""
    network = marks.network(vpn.key)
    described: dict[str, Any] = {
        "uuid": network,
        "name": marks.mark(vpn.key),
        **_tenant(vpn.tenant),
        "admin-state-up": True,
        "shared": False,
        "neutron-L3-ext:external": False,
        "neutron-provider-ext:network-type": "neutron-networks:network-type-vxlan",
        "neutron-provider-ext:segmentation-id": str(vni),
    }
    entries = {EntryId(Kind.NETWORK, network): _known(described, controller)}
    for attachment in sorted(attachments, key=lambda a: (str(a.gateway or "~"), str(a.address))):
        cidr = str(attachment.address.network)
        id = EntryId(Kind.SUBNET, marks.subnet(vpn.key, cidr))
        if id in entries:
            continue
        subnet: dict[str, Any] = {
            "uuid": id.key,
            "name": marks.mark(vpn.key),
            **_tenant(vpn.tenant),
            "network-id": network,
            "ip-version": f"neutron-constants:ip-version-v{attachment.address.version}",
            "cidr": cidr,
            "enable-dhcp": True,
        }
        if attachment.gateway is not None:
            subnet["gateway-ip"] = str(attachment.gateway)
        entries[id] = subnet
    instance = _instance(vpn) if controller.vpn_module == CURRENT else _older_instance(vpn, marks)
    entries[EntryId(Kind.VPN, vpn.key)] = instance
    return entries


def interface_entries(wish: InterfaceWish, bridge: str, marks: Marks, controller: Controller) -> Entries:
    """An interface: Neutron's port as long as it is in a VPN, the rest while the port is bound."""
    entries: dict[EntryId, Document] = {}
    if wish.attachments:
        entries[EntryId(Kind.PORT, wish.key)] = _known(_port(wish, bridge, marks), controller)
    if wish.host is not None:
        described = _known(_interface(wish, marks), controller)
        entries[EntryId(Kind.INTERFACE, wish.key)] = described
        if wish.attachments:
            current = controller.vpn_module == CURRENT
            described = (_vpn_interface if current else _older_vpn_interface)(wish, marks)
            entries[EntryId(Kind.VPN_INTERFACE, wish.key)] = described
    return entries


def choose_vni(vpn: str, taken: Iterable[int]) -> int:
    """A VXLAN network identifier for a VPN: the same each time, as far as it isn't taken."""
    used = set(taken)
    vni = uuid.uuid5(uuid.NAMESPACE_OID, vpn).int % _VNIS
    while vni + 1 in used:
        vni = (vni + 1) % _VNIS
    return vni + 1


def _instance(vpn: VpnWish) -> Document:
    """Both address families in one; a route target does for one what it does for the other."""
    return {"vpn-instance-name": vpn.key, **_distinguishers(vpn), **_targets(vpn.targets)}


def _distinguishers(vpn: VpnWish) -> dict[str, Any]:
    found = list(vpn.route_distinguishers)
    return {"route-distinguisher": found} if found else {}


def _older_instance(vpn: VpnWish, marks: Marks) -> Document:
    described: dict[str, Any] = {"vpn-instance-name": vpn.key, "description": marks.mark(vpn.key)}
    if len(vpn.route_distinguishers) > 1:
        raise PermanentError("OpenDaylight's module l3vpn has one route distinguisher for a VPN, not several")
    for family in ("ipv4", "ipv6"):
        targets = [t for t in vpn.targets if t.family == family]
        if family == "ipv6" and not targets:
            continue
        content: dict[str, Any] = _targets(targets)
        if vpn.route_distinguishers:
            content["route-distinguisher"] = vpn.route_distinguishers[0]
        for leaf, policies in (
            ("import-route-policy", {t.import_policy for t in targets if t.imports and t.import_policy}),
            ("export-route-policy", {t.export_policy for t in targets if t.exports and t.export_policy}),
        ):
            if len(policies) > 1:
                raise PermanentError(f"OpenDaylight has one {leaf} for a VPN's {family}, not {len(policies)}")
            if policies:
                content[leaf] = policies.pop()
        if content:
            described[f"{family}-family"] = content
    return described


def _targets(targets: Iterable[Target]) -> dict[str, Any]:
    uses: dict[str, tuple[bool, bool]] = {}
    for target in targets:
        imports, exports = uses.get(target.value, (False, False))
        uses[target.value] = (imports or target.imports, exports or target.exports)
    names = {(True, True): "both", (True, False): "import_extcommunity", (False, True): "export_extcommunity"}
    found = [{"vrfRTValue": value, "vrfRTType": names[use]} for value, use in uses.items() if use in names]
    # There even when it is empty: that is how targets of before are seen to be too many.
    return {"vpnTargets": {"vpnTarget": sorted(found, key=lambda target: target["vrfRTValue"])}}


def _port(wish: InterfaceWish, bridge: str, marks: Marks) -> dict[str, Any]:
    vpns = {attachment.vpn for attachment in wish.attachments}
    if len(vpns) > 1:
        raise PermanentError("OpenDaylight has an interface in one VPN only")
    described: dict[str, Any] = {
        "uuid": wish.key,
        "name": marks.mark(wish.port),
        **_tenant(wish.tenant),
        "network-id": marks.network(wish.attachments[0].vpn),
        "mac-address": wish.mac,
        "admin-state-up": wish.enabled,
        "device-owner": "compute:gluon",
        "fixed-ips": [
            {"subnet-id": marks.subnet(a.vpn, str(a.address.network)), "ip-address": str(a.address.ip)}
            for a in wish.attachments
        ],
        "neutron-binding:vnic-type": wish.vnic_type,
        # A VPN's ports have no security groups: with port security NetVirt would let nothing pass.
        "neutron-portsecurity:port-security-enabled": False,
    }
    if wish.device:
        described["device-id"] = wish.device
    if wish.host is not None:
        described |= {
            "neutron-binding:host-id": wish.host,
            "neutron-binding:vif-type": "ovs",
            "neutron-binding:vif-details": [
                {"details-key": "bridge_name", "value": bridge},
                {"details-key": "port_filter", "value": "false"},
            ],
        }
    return described


def _interface(wish: InterfaceWish, marks: Marks) -> dict[str, Any]:
    """A port of its own is a trunk above its tap device; a VLAN is a member of the port's trunk."""
    described: dict[str, Any] = {
        "name": wish.key,
        "description": marks.mark(wish.port),
        "type": "iana-if-type:l2vlan",
        "enabled": wish.enabled,
    }
    if wish.vlan is None:
        # The kernel has 15 characters for a device's name; Nova cuts the tap device's there.
        return described | {
            "odl-interface:l2vlan-mode": "trunk",
            "odl-interface:parent-interface": f"tap{wish.port[:11]}",
        }
    return described | {
        "odl-interface:l2vlan-mode": "trunk-member",
        "odl-interface:vlan-id": wish.vlan,
        "odl-interface:parent-interface": wish.port,
    }


def _vpn_interface(wish: InterfaceWish, marks: Marks) -> Document:
    versions = {a.address.version for a in wish.attachments}
    kind = "V4AndV6Subnets" if len(versions) > 1 else f"V{versions.pop()}Subnet"
    vpn = wish.attachments[0].vpn
    return {
        "name": wish.key,
        "vpn-instance-names": [{"vpn-name": vpn, "associated-subnet-type": kind}],
        "network-id": marks.network(vpn),
        "network-type": "VXLAN",
        "adjacency": [
            {**_adjacency(a, wish, marks), "adjacency_type": "primary-adjacency"} for a in wish.attachments
        ],
    }


def _older_vpn_interface(wish: InterfaceWish, marks: Marks) -> Document:
    return {
        "name": wish.key,
        "vpn-instance-name": wish.attachments[0].vpn,
        "odl-l3vpn:adjacency": [
            {**_adjacency(a, wish, marks), "primary-adjacency": True} for a in wish.attachments
        ],
    }


def _adjacency(attachment: Attachment, wish: InterfaceWish, marks: Marks) -> dict[str, Any]:
    address = attachment.address
    found = {
        "ip_address": f"{address.ip}/{address.max_prefixlen}",
        "mac_address": wish.mac,
        "subnet_id": marks.subnet(attachment.vpn, str(address.network)),
    }
    if attachment.gateway is not None:
        found["subnet_gateway_ip"] = str(attachment.gateway)
    return found


def _tenant(tenant: str) -> dict[str, str]:
    """Keystone writes the id without dashes, YANG's type has them; one that is no uuid can't be said."""
    try:
        return {"tenant-id": str(uuid.UUID(tenant))}
    except ValueError:
        return {}


def _known(entry: Document, controller: Controller) -> Document:
    """The entry without the leafs of modules that the controller doesn't have."""
    return {
        name: value
        for name, value in entry.items()
        if ":" not in name or name.partition(":")[0] in controller.modules
    }


def is_distinguisher(text: str) -> bool:
    """Whether a text is a route distinguisher or route target: ASN:number or IPv4:number, 3 to 21 long."""
    left, colon, right = text.partition(":")
    if not colon or not right.isascii() or not right.isdigit() or not 3 <= len(text) <= 21:
        return False
    if left.isascii() and left.isdigit():
        return True
    try:
        ipaddress.IPv4Address(left)
    except ValueError:
        return False
    return True
