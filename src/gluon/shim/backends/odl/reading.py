"""From views of objects to wishes. What OpenDaylight can't do is said here, in words for objects' owners."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from gluon.model.model import Role
from gluon.shim.backends.odl.documents import is_distinguisher
from gluon.shim.backends.odl.wishes import Attachment, InterfaceWish, Target, VpnWish
from gluon.shim.errors import PermanentError
from gluon.shim.views import View

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VNIC_TYPES = ("normal", "virtual")
_VLANS = range(1, 4095)


def read_vpn(service: View) -> VpnWish:
    """A service; raises PermanentError when OpenDaylight can't do it."""
    if getattr(type(service), "topology", None) != "routed":
        raise PermanentError(f"the OpenDaylight backend drives routed services, not a {service.object_name}")
    _check_uuid(service)
    named = (text.strip() for text in str(service.get("route_distinguishers") or "").split(","))
    distinguishers = tuple(dict.fromkeys(text for text in named if text))
    targets = tuple(
        Target(t.value, t.family, t.imports, t.exports, t.import_policy, t.export_policy)
        for t in getattr(service, "route_targets", ())
    )
    for text in (*distinguishers, *(target.value for target in targets)):
        if not is_distinguisher(text):
            raise PermanentError(f"{text!r} is no route distinguisher or route target such as 64512:100")
    return VpnWish(service.key, str(service.get("tenant_id") or ""), distinguishers, targets)


def read_port(
    port: View, serves: Callable[[str], bool]
) -> tuple[dict[str, InterfaceWish], list[PermanentError]]:
    """A port's interfaces, as far as OpenDaylight can do them, and why not further.

    One that it can't do has no wish. Those of unbound ports are everybody's.
    """
    wishes: dict[str, InterfaceWish] = {}
    problems: list[PermanentError] = []
    for interface in port.referrers_with_role(Role.INTERFACE):
        if interface.departed:
            continue
        try:
            wishes[interface.key] = _read_interface(port, interface, serves, problems)
        except PermanentError as error:
            problems.append(error)
    return wishes, problems


def read_attachment(binding: View, service: View) -> Attachment:
    """A service binding; raises PermanentError when OpenDaylight can't do it."""
    ip, length = binding.get("ipaddress"), binding.get("subnet_prefix")
    if not ip or not length:
        raise PermanentError("OpenDaylight needs ipaddress and subnet_prefix of a binding")
    try:
        address = ipaddress.ip_interface(f"{ip}/{length}")
        gateway = ipaddress.ip_address(binding.get("gateway")) if binding.get("gateway") else None
    except ValueError as error:
        raise PermanentError(f"ipaddress, subnet_prefix, gateway: {error}") from error
    if gateway is not None and gateway not in address.network:
        raise PermanentError(f"gateway {gateway} isn't in the binding's subnet {address.network}")
    return Attachment(service.key, address, gateway)


def check_bindable(port: View) -> None:
    """PermanentError for a port that OpenDaylight can't bind at all."""
    vnic_type = port.get("vnic_type")
    if vnic_type not in _VNIC_TYPES:
        raise PermanentError(
            f"OpenDaylight binds ports of vnic_type {' or '.join(_VNIC_TYPES)}, not {vnic_type}"
        )
    _mac(port)


def _read_interface(
    port: View, interface: View, serves: Callable[[str], bool], problems: list[PermanentError]
) -> InterfaceWish:
    _check_uuid(interface)
    host = str(port["host_id"]) if port.get("host_id") and port.get("bind_id") else None
    attachments: dict[str, Attachment] = {}
    for binding in interface.referrers_with_role(Role.SERVICE_BINDING):
        service = binding.to(Role.SERVICE)
        if binding.departed or service is None or service.departed:
            continue
        try:
            attachments[binding.key] = read_attachment(binding, service)
        except PermanentError as error:
            problems.append(error)
    kept = tuple(attachment for _, attachment in sorted(attachments.items()))
    if len({attachment.vpn for attachment in kept}) > 1:
        problems.append(PermanentError("OpenDaylight has an interface in one VPN only"))
        kept = tuple(attachment for attachment in kept if attachment.vpn == kept[0].vpn)
    return InterfaceWish(
        key=interface.key,
        port=port.key,
        mac=_mac(port),
        tenant=str(port.get("tenant_id") or ""),
        enabled=port.get("admin_state_up") is not False,
        vlan=_vlan(port, interface),
        host=host,
        device=port.get("device_id"),
        vnic_type=str(port.get("vnic_type") or "normal"),
        ours=host is None or serves(host),
        attachments=kept,
    )


def _mac(port: View) -> str:
    mac = str(port.get("mac_address")).lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise PermanentError(f"mac_address: {port.get('mac_address')!r} is no MAC address")
    return mac


def _check_uuid(view: View) -> None:
    if not _UUID.fullmatch(view.key):
        raise PermanentError(f"OpenDaylight needs uuids for ids, and {view.key!r} is none")


def _vlan(port: View, interface: View) -> int | None:
    kind, number = interface.get("segmentation_type"), interface.get("segmentation_id")
    if interface.key == port.key or kind == "none":
        if interface.key != port.key:
            raise PermanentError("only the port's default interface may be without a segmentation")
        return None
    if kind != "vlan":
        raise PermanentError(f"OpenDaylight tells interfaces of a port apart by vlan, not by {kind}")
    if number not in _VLANS:
        raise PermanentError(f"segmentation_id {number} is no VLAN: 1 to 4094 are")
    return int(number)
