from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from gluon.shim.backends.ovn.reading import check_bindable, read_port, read_service
from gluon.shim.backends.ovn.wishes import PortWish, Target
from gluon.shim.errors import PermanentError
from gluon.shim.models.generic import GenericApiModel
from shim.relaying import bundled
from shim.test_views import TENANT, Shelves

PORT: dict[str, Any] = {
    "id": "p",
    "mac_address": "C8-2A-14-04-43-80",
    "mtu": 1500,
    "admin_state_up": True,
    "vnic_type": "normal",
    "host_id": "h1",
    "bind_id": "b",
}
BINDING = {"service_id": "v", "ipaddress": "10.0.0.5", "subnet_prefix": 24, "gateway": "10.0.0.1"}


@pytest.fixture
def shelves() -> Shelves:
    made = Shelves()
    made.put("VpnService", id="v", tenant_id=TENANT)
    made.put("Interface", id="p", port_id="p", segmentation_type="none", segmentation_id=0)
    return made


def _port(shelves: Shelves, **attributes: Any) -> tuple[PortWish, list[str]]:
    wish, problems = read_port(shelves.put("Port", **PORT | attributes), lambda host: host == "h1")
    return wish, [problem.reason for problem in problems]


def test_a_bound_port_with_its_binding(shelves: Shelves) -> None:
    shelves.put("VpnBinding", interface_id="p", **BINDING)

    wish, problems = _port(shelves)

    assert problems == []
    assert (wish.mac, wish.hosts, wish.ours, wish.enabled) == ("c8:2a:14:04:43:80", ("h1",), True, True)
    (attached,) = wish.attachments
    assert attached.subnet.network == ipaddress.ip_network("10.0.0.0/24")
    assert attached.gateway == ipaddress.ip_address("10.0.0.1")


def test_a_port_on_its_way_to_another_host(shelves: Shelves) -> None:
    wish, _ = _port(shelves, host_id="h9", bindings=[{"host": "h1", "bind_id": "c"}])

    assert (wish.hosts, wish.ours) == (("h9", "h1"), True)
    assert not _port(shelves, host_id="h9")[0].ours
    assert _port(shelves, host_id=None, bind_id=None)[0].hosts == ()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"ipaddress": None}, "needs ipaddress and subnet_prefix"),
        ({"gateway": "10.9.0.1"}, "isn't in the binding's subnet 10.0.0.0/24"),
        ({"gateway": "10.0.0.5"}, "can't be the address of the interface and of its gateway"),
    ],
)
def test_bindings_that_make_no_sense(shelves: Shelves, changed: dict[str, Any], problem: str) -> None:
    shelves.put("VpnBinding", interface_id="p", **BINDING | changed)

    wish, (said,) = _port(shelves)

    assert problem in said
    assert wish.attachments == ()


@pytest.mark.parametrize(
    ("segment", "problem"), [(("vlan", 4095), "is no VLAN"), (("mpls", 5), "by vlan, not by mpls")]
)
def test_segments_that_ovn_does_not_have(shelves: Shelves, segment: tuple[str, int], problem: str) -> None:
    shelves.put("Interface", id="i", port_id="p", segmentation_type=segment[0], segmentation_id=segment[1])
    shelves.put("VpnBinding", interface_id="i", **BINDING)

    assert problem in _port(shelves)[1][0]


def test_ports_that_ovn_can_not_bind(shelves: Shelves) -> None:
    with pytest.raises(PermanentError) as refused:
        check_bindable(shelves.put("Port", **PORT | {"vnic_type": "sriov"}))
    assert "not sriov" in refused.value.reason


def test_route_targets_count_as_far_as_the_tenant_s_configs_go(shelves: Shelves) -> None:
    vpn = shelves.put("VpnService", id="v", tenant_id=TENANT, ipv4_family="64512:1,64512:2", ipv6_family="")
    shelves.put("VpnAfConfig", vrf_rt_value="64512:1", vrf_rt_type="both", tenant_id=TENANT)
    shelves.put("VpnAfConfig", vrf_rt_value="64512:2", vrf_rt_type="both", tenant_id="f" * 32)

    wish = read_service(vpn)

    assert wish.imports == wish.exports == {Target("ipv4", "64512:1")}


def test_a_service_whose_api_model_says_nothing_is_refused_with_a_sentence(shelves: Shelves) -> None:
    generic = GenericApiModel(bundled("net-l3vpn"))
    view = generic.view_classes["VpnService"](shelves.objects, "v", b'{"id": "v"}')

    with pytest.raises(PermanentError) as refused:
        read_service(view)

    assert "doesn't understand what a VpnService is" in refused.value.reason
