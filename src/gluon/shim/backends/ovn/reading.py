"""From views of objects to wishes. What OVN can't do is said here, in words for the objects' owners."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from gluon.model.model import Role
from gluon.shim.backends.ovn.addresses import Address, InterfaceAddress, plain_mac
from gluon.shim.backends.ovn.wishes import Attachment, PortWish, ServiceWish, Subnet, Target, Topology
from gluon.shim.errors import PermanentError
from gluon.shim.views import View

_VNIC_TYPES = ("normal", "virtual")
_VLANS = range(1, 4095)


def read_service(service: View) -> ServiceWish:
    """A service; raises PermanentError when its API model doesn't say how its ports are joined."""
    topology = getattr(type(service), "topology", None)
    if topology not in tuple(Topology):
        raise PermanentError(
            f"the OVN backend doesn't understand what a {service.object_name} is: the service's API model "
            f"doesn't say its topology ({', '.join(Topology)})"
        )
    targets = tuple(getattr(service, "route_targets", ()))
    return ServiceWish(
        key=service.key,
        topology=Topology(topology),
        since=str(service.get("created_at") or ""),
        imports=frozenset(Target(t.family, t.value) for t in targets if t.imports),
        exports=frozenset(Target(t.family, t.value) for t in targets if t.exports),
    )


def read_port(port: View, serves: Callable[[str], bool]) -> tuple[PortWish, list[PermanentError]]:
    """A port with its interfaces and bindings, as far as OVN can do it, and why not further."""
    problems: list[PermanentError] = []
    attachments = []
    for interface in port.referrers_with_role(Role.INTERFACE):
        for binding in interface.referrers_with_role(Role.SERVICE_BINDING):
            service = binding.to(Role.SERVICE)
            if service is None or service.departed:
                continue
            try:
                attachments.append(read_attachment(port, interface, binding, service))
            except PermanentError as error:
                problems.append(error)
    mac = "00:00:00:00:00:00"
    hosts = _hosts(port)
    try:
        mac = _checked_mac(port)
    except PermanentError as error:
        problems.append(error)
        hosts = ()
    wish = PortWish(
        key=port.key,
        mac=mac,
        mtu=int(port.get("mtu") or 1500),
        enabled=port.get("admin_state_up") is not False,
        hosts=hosts,
        attachments=tuple(sorted(attachments, key=lambda attachment: attachment.interface)),
        ours=any(map(serves, hosts)),
    )
    return wish, problems


def read_attachment(port: View, interface: View, binding: View, service: View) -> Attachment:
    """A service binding; raises PermanentError when OVN can't do it."""
    topology = read_service(service).topology
    address, gateway = _routed(binding) if topology is Topology.ROUTED else (None, None)
    return Attachment(interface.key, service.key, _vlan(port, interface), address, gateway)


def read_subnet(binding: View, service: View) -> Subnet | None:
    """The network that a service binding leads into; None when OVN can't do it."""
    try:
        routed = read_service(service).topology is Topology.ROUTED
        network = _routed(binding)[0].network if routed else None
    except PermanentError:
        return None
    return Subnet(service.key, network)


def check_bindable(port: View) -> None:
    """PermanentError for a port that OVN can't bind at all."""
    vnic_type = port.get("vnic_type")
    if vnic_type not in _VNIC_TYPES:
        raise PermanentError(f"OVN binds ports of vnic_type {' or '.join(_VNIC_TYPES)}, not {vnic_type}")
    _checked_mac(port)


def _checked_mac(port: View) -> str:
    try:
        return plain_mac(str(port.get("mac_address")))
    except ValueError as error:
        raise PermanentError(f"mac_address: {error}") from error


def _hosts(port: View) -> tuple[str, ...]:
    """The host that a port is bound on, and those that it may move to."""
    if not port.get("host_id") or not port.get("bind_id"):
        return ()
    inactive = (binding.get("host") for binding in port.get("bindings") or ())
    return tuple(dict.fromkeys(host for host in (port.get("host_id"), *inactive) if host))


def _vlan(port: View, interface: View) -> int | None:
    kind, number = interface.get("segmentation_type"), interface.get("segmentation_id")
    if interface.key == port.key or kind == "none":
        if interface.key != port.key:
            raise PermanentError("only the port's default interface may be without a segmentation")
        return None
    if kind != "vlan":
        raise PermanentError(f"OVN tells interfaces of a port apart by vlan, not by {kind}")
    if number not in _VLANS:
        raise PermanentError(f"segmentation_id {number} is no VLAN: 1 to 4094 are")
    return int(number)


def _routed(binding: View) -> tuple[InterfaceAddress, Address | None]:
    ip, length = binding.get("ipaddress"), binding.get("subnet_prefix")
    if not ip or not length:
        raise PermanentError("OVN needs ipaddress and subnet_prefix of a binding to a routed service")
    try:
        address = ipaddress.ip_interface(f"{ip}/{length}")
        gateway = ipaddress.ip_address(binding.get("gateway")) if binding.get("gateway") else None
    except ValueError as error:
        raise PermanentError(f"ipaddress, subnet_prefix, gateway: {error}") from error
    if gateway is not None and gateway not in address.network:
        raise PermanentError(f"gateway {gateway} isn't in the binding's subnet {address.network}")
    if gateway == address.ip:
        raise PermanentError(f"{gateway} can't be the address of the interface and of its gateway")
    return address, gateway
