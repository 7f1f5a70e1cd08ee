"""Views: what a backend sees of objects."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from gluon.shim.inventory import Inventory
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.models.net_l3vpn import NetL3vpnApiModel
from gluon.shim.objects import Objects
from gluon.shim.shelf import ObjectId, Stored
from gluon.shim.views import View
from shim.relaying import bundled

PORT, VPN, TENANT = "p", "v", "a868a466bca84df18404a77db0ecac72"


class Shelves:
    """A service's objects, put there by hand."""

    def __init__(self, service: str = "net-l3vpn") -> None:
        model = bundled(service)
        self.api_model = NetL3vpnApiModel(model) if service == "net-l3vpn" else GenericApiModel(model)
        self.inventory = Inventory(self.api_model.terms)
        self.objects = Objects(self.api_model, self.inventory)

    def put(self, object_name: str, **attributes: Any) -> View:
        described = self.api_model.model.objects[object_name]
        document = {**dict.fromkeys(described.attributes), "revision_number": 1, **attributes}
        key = str(document[described.key])
        self.inventory.put(ObjectId(object_name, key), Stored(json.dumps(document).encode(), 1))
        return self[object_name, key]

    def __getitem__(self, name: tuple[str, str]) -> View:
        view = self.objects.find_view(ObjectId(*name))
        assert view is not None
        return view


@pytest.fixture
def vpn() -> Shelves:
    """A port with its interface in a VPN."""
    shelves = Shelves()
    shelves.put("Port", id=PORT, mtu=1500, admin_state_up=True, bind_id="b", bindings=[{"host": "h"}])
    shelves.put("Interface", id=PORT, port_id=PORT, segmentation_type="none", segmentation_id=0)
    shelves.put(
        "VpnService", id=VPN, tenant_id=TENANT, ipv4_family="64512:1, 64512:2,", ipv6_family="64512:1"
    )
    shelves.put("VpnBinding", interface_id=PORT, service_id=VPN, ipaddress="10.0.0.2")
    return shelves


def test_attributes_have_the_types_of_the_model(vpn: Shelves) -> None:
    port = vpn["Port", PORT]
    assert (port.mtu, port.admin_state_up, port.name, port.bind_id) == (1500, True, None, "b")
    assert port["mtu"] == 1500
    assert port.get("nonsense", 7) == 7
    assert port.revision_number == 1
    with pytest.raises(AttributeError):
        _ = port.nonsense
    with pytest.raises(KeyError):
        _ = port["nonsense"]


def test_nothing_of_a_view_can_be_changed(vpn: Shelves) -> None:
    port: Any = vpn["Port", PORT]
    for change in (
        lambda: setattr(port, "mtu", 9000),
        lambda: setattr(port, "brand_new", 1),
        lambda: delattr(port, "mtu"),
        lambda: port.document.update(mtu=9000),
        lambda: port.document.__setitem__("mtu", 9000),
        lambda: port.bindings.append(1),
        lambda: port.bindings[0].__setitem__("host", "other"),
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()
    assert port.mtu == 1500


def test_roles_lead_from_object_to_object(vpn: Shelves) -> None:
    port, interface = vpn["Port", PORT], vpn["Interface", PORT]
    binding, service = vpn["VpnBinding", PORT], vpn["VpnService", VPN]
    assert port.interfaces == (interface,)
    assert interface.port == port
    assert interface.binding == binding
    assert interface.bindings == (binding,)
    assert (binding.interface, binding.service, binding.port) == (interface, service, port)
    assert service.bindings == (binding,)
    assert service.interfaces == (interface,)
    assert service.ports == (port,)


def test_references_lead_by_attribute_and_back(vpn: Shelves) -> None:
    binding, service = vpn["VpnBinding", PORT], vpn["VpnService", VPN]
    assert binding.follow("service_id") == service
    assert service.referrers("VpnBinding") == (binding,)
    assert service.referrers("VpnBinding", "service_id") == (binding,)
    assert service.referrers("Port") == ()


def test_a_plain_uuid_of_a_binding_leads_to_whichever_service_it_is_of() -> None:
    shelves = Shelves("ietf-sfc")
    function = shelves.put("ServiceFunction", id="f")
    forwarder = shelves.put("ServiceFunctionForwarder", id="s")
    shelves.put("Port", id=PORT)
    shelves.put("Interface", id=PORT, port_id=PORT)
    one = shelves.put("SfDataPlaneLocator", interface_id=PORT, service_id="f")
    other = shelves.put("SffDataPlaneLocator", interface_id=PORT, service_id="s")
    assert (one.service, other.service) == (function, forwarder)
    assert forwarder.bindings == (other,)
    assert {v.object_name for v in one.interface.bindings} == {"SfDataPlaneLocator", "SffDataPlaneLocator"}


def test_the_order_of_creation_follows_roles_in_every_model() -> None:
    for service in ("net-l3vpn", "ietf-sfc", "test"):
        api_model = GenericApiModel(bundled(service))
        ranks: dict[str, list[int]] = {}
        for api_object in api_model.model.objects.values():
            ranks.setdefault(api_object.role.value, []).append(api_model.rank(api_object.name))
        order = [ranks[role] for role in ("service", "interface", "service_binding", "port") if role in ranks]
        for earlier, later in itertools.pairwise(order):
            assert max(earlier) < min(later)


def test_what_goes_is_still_found_by_what_goes_with_it(vpn: Shelves) -> None:
    gone = vpn["VpnBinding", PORT].document
    raw = json.dumps(dict(gone)).encode()
    for object_id in (ObjectId("VpnBinding", PORT), ObjectId("VpnService", VPN)):
        vpn.inventory.depart(object_id)

    binding = vpn.objects.view(ObjectId("VpnBinding", PORT), raw, departed=True)

    assert binding.service is not None
    assert binding.service.departed
    assert binding.service.bindings == (binding,)
    assert vpn["Interface", PORT].bindings == ()
    vpn.inventory.departed.remove(ObjectId("VpnService", VPN))
    assert binding.service is None


def test_an_object_that_moves_is_found_where_it_is(vpn: Shelves) -> None:
    other = vpn.put("VpnService", id="w")
    vpn.put("VpnBinding", interface_id=PORT, service_id="w")
    assert vpn["VpnService", VPN].bindings == ()
    assert [b.key for b in other.bindings] == [PORT]


def test_a_vpn_uses_the_route_targets_that_its_own_tenant_has_configured(vpn: Shelves) -> None:
    service = vpn["VpnService", VPN]
    assert service.route_targets == ()
    dashed = "a868a466-bca8-4df1-8404-a77db0ecac72"
    vpn.put("VpnAfConfig", vrf_rt_value="64512:1", vrf_rt_type="both", tenant_id=dashed)
    vpn.put("VpnAfConfig", vrf_rt_value="64512:2", vrf_rt_type="import_extcommunity", tenant_id="f" * 32)
    assert [(t.family, t.value, t.imports, t.exports) for t in service.route_targets] == [
        ("ipv4", "64512:1", True, True),
        ("ipv6", "64512:1", True, True),
    ]
    vpn.put("VpnAfConfig", vrf_rt_value="64512:2", vrf_rt_type="export_extcommunity", tenant_id=TENANT)
    assert [(t.value, t.imports, t.exports) for t in service.route_targets][1] == ("64512:2", False, True)


def test_what_administrators_have_configured_holds_for_all(vpn: Shelves) -> None:
    admins = "F" * 8 + "-ffff-ffff-ffff-" + "f" * 12
    with_admins = NetL3vpnApiModel(vpn.api_model.model, frozenset({admins}))
    view = Objects(with_admins, vpn.inventory).find_view(ObjectId("VpnService", VPN))
    assert view is not None
    vpn.put("VpnAfConfig", vrf_rt_value="64512:1", vrf_rt_type="both", tenant_id="e" * 32)
    own = with_admins.context(view)
    vpn.put("VpnAfConfig", vrf_rt_value="64512:2", vrf_rt_type="import_extcommunity", tenant_id="f" * 32)

    assert [(t.value, t.imports, t.exports) for t in view.route_targets] == [("64512:2", True, False)]
    # A VPN is applied anew when it is one, and when the setting says another.
    contexts = {own, with_admins.context(view), vpn.api_model.context(vpn["VpnService", VPN])}
    assert len(contexts) == 3


def test_attributes_win_over_navigation_and_the_views_own_names_over_both(vpn: Shelves) -> None:
    model = bundled("test")
    for api_object in model.objects.values():
        view_class = GenericApiModel(model).view_classes[api_object.name]
        raw = json.dumps(dict.fromkeys(api_object.attributes, 3)).encode()
        view = view_class(vpn.objects, "k", raw)
        assert view.key == "k"
        for name in api_object.attributes:
            assert view[name] == 3
            assert getattr(view, name) == 3 or hasattr(View, name)
