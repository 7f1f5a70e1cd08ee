"""The entries that the OpenDaylight backend makes, before the YANG that they are for."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from gluon.shim.backends.odl.documents import (
    choose_vni,
    interface_entries,
    is_distinguisher,
    vpn_entries,
)
from gluon.shim.backends.odl.entries import EntryId, Kind, as_wanted
from gluon.shim.backends.odl.marks import Marks
from gluon.shim.backends.odl.restconf import Controller, Version
from gluon.shim.backends.odl.wishes import Attachment, InterfaceWish, Target, VpnWish
from gluon.shim.errors import PermanentError
from servers.yang_models import YangModels

VPN = "3f0b8a40-54a6-4a3f-9a2f-0f0b5a3c9d11"
PORT = "c1b6c2d4-5a5e-4e0b-8a59-3b1f0f6f6c22"
SUB = "d7c8a0e2-1f5b-4f5c-9d3a-6a1e2b3c4d33"
MARKS = Marks("gluon", "net-l3vpn")
ADDRESS = Attachment(VPN, ipaddress.ip_interface("10.1.2.5/24"), ipaddress.ip_address("10.1.2.1"))
WISH = InterfaceWish(
    key=PORT,
    port=PORT,
    mac="c8:2a:14:04:43:80",
    tenant="a868a466bca84df18404a77db0ecac72",
    host="compute-1",
    device="vm-1",
    attachments=(ADDRESS,),
)
TARGETS = (
    Target("64512:1", "ipv4", True, True),
    Target("64512:2", "ipv4", True, False, import_policy="in"),
    Target("64512:3", "ipv4", False, True, export_policy="out"),
    Target("64512:4", "ipv6", True, False),
    Target("64512:2", "ipv6", False, True),
    Target("64512:9", "ipv4", False, False),
)


def controller(yang: YangModels, older: bool) -> Controller:
    module = "l3vpn" if older else "l3vpn-instances-interfaces"
    return Controller(Version.RFC8040, "/rests", frozenset(yang.modules), module)


def datastore(found: dict[EntryId, Any], known: Controller) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for id, entry in found.items():
        place = data.setdefault(f"{known.module(id.kind)}:{id.kind.containers[0]}", {})
        for container in id.kind.containers[1:]:
            place = place.setdefault(container, {})
        place.setdefault(id.kind.list_name, []).append(entry)
    return data


@pytest.mark.parametrize("older", [False, True], ids=["l3vpn-instances-interfaces", "l3vpn"])
def test_a_vpn_with_a_port_and_a_vlan_is_valid(older: bool) -> None:
    yang = YangModels(older=older)
    known = controller(yang, older)
    vpn = VpnWish(VPN, WISH.tenant, ("64512:100",), TARGETS)
    vlan = replace(
        WISH,
        key=SUB,
        vlan=100,
        attachments=(Attachment(VPN, ipaddress.ip_interface("2001:db8::5/64")),),
    )
    entries = {
        **vpn_entries(vpn, [*WISH.attachments, *vlan.attachments], 7, MARKS, known),
        **interface_entries(WISH, "br-int", MARKS, known),
        **interface_entries(vlan, "br-int", MARKS, known),
    }
    assert [sum(id.kind is kind for id in entries) for kind in Kind] == [1, 2, 1, 2, 2, 2]
    assert yang.problem(datastore(entries, known)) is None
    wrong = json.loads(json.dumps(datastore(entries, known)))
    wrong["ietf-interfaces:interfaces"]["interface"].pop(0)
    said = yang.problem(wrong)
    assert said is not None and "leafref" in said


def test_all_route_targets_are_written_with_their_types() -> None:
    known = Controller(Version.RFC8040, "/rests", frozenset(), "l3vpn-instances-interfaces")
    entry = vpn_entries(VpnWish(VPN, "", ("64512:100",), TARGETS), (), 7, MARKS, known)[
        EntryId(Kind.VPN, VPN)
    ]
    assert entry["route-distinguisher"] == ["64512:100"]
    assert {t["vrfRTValue"]: t["vrfRTType"] for t in entry["vpnTargets"]["vpnTarget"]} == {
        "64512:1": "both",
        "64512:2": "both",
        "64512:3": "export_extcommunity",
        "64512:4": "import_extcommunity",
    }


def test_the_older_module_has_families_and_policies() -> None:
    known = Controller(Version.DRAFT, "/restconf", frozenset(), "l3vpn")
    entry = vpn_entries(VpnWish(VPN, "", ("64512:100",), TARGETS), (), 7, MARKS, known)[
        EntryId(Kind.VPN, VPN)
    ]
    four, six = entry["ipv4-family"], entry["ipv6-family"]
    assert four["route-distinguisher"] == six["route-distinguisher"] == "64512:100"
    assert (four["import-route-policy"], four["export-route-policy"]) == ("in", "out")
    assert {t["vrfRTValue"]: t["vrfRTType"] for t in four["vpnTargets"]["vpnTarget"]} == {
        "64512:1": "both",
        "64512:2": "import_extcommunity",
        "64512:3": "export_extcommunity",
    }
    assert {t["vrfRTValue"]: t["vrfRTType"] for t in six["vpnTargets"]["vpnTarget"]} == {
        "64512:2": "export_extcommunity",
        "64512:4": "import_extcommunity",
    }
    with pytest.raises(PermanentError, match="one route distinguisher"):
        vpn_entries(VpnWish(VPN, "", ("1:1", "1:2")), (), 7, MARKS, known)


def test_an_unbound_interface_is_neutrons_port_only() -> None:
    known = Controller(Version.RFC8040, "/rests", frozenset(), "l3vpn-instances-interfaces")
    found = interface_entries(replace(WISH, host=None), "br-int", MARKS, known)
    assert [id.kind for id in found] == [Kind.PORT]
    assert not any(":" in name for name in found[EntryId(Kind.PORT, PORT)]), "leafs of absent modules"


def test_entries_are_compared_whatever_the_release_writes() -> None:
    wanted = {
        "name": "x",
        "type": "iana-if-type:l2vlan",
        "odl-interface:vlan-id": 5,
        "enabled": True,
        "adjacency": [{"ip_address": "10.0.0.1/32"}],
    }
    there = {
        "name": "x",
        "type": "l2vlan",
        "vlan-id": "5",
        "enabled": True,
        "link-up-down-trap-enable": "enabled",
        "adjacency": [
            {"ip_address": "10.0.0.9/32", "adjacency_type": "learnt-ip"},
            {"ip_address": "10.0.0.1/32", "phys-network-func": False},
        ],
    }
    assert as_wanted(there, wanted)
    assert not as_wanted({**there, "enabled": False}, wanted)
    assert not as_wanted({**there, "adjacency": []}, wanted)
    assert not as_wanted({**there, "adjacency": [*there["adjacency"], {"ip_address": "1.1.1.1/32"}]}, wanted)
    assert not as_wanted({"vpnTargets": {"vpnTarget": [{"a": "b"}]}}, {"vpnTargets": {"vpnTarget": []}})


def test_marks_tell_ours_from_others() -> None:
    network = EntryId(Kind.NETWORK, "n")
    assert MARKS.marked(network, {"name": f"gluon/gluon/net-l3vpn/{VPN}"}) == VPN
    for name in ("web", "gluon/other/net-l3vpn/1", "gluon/gluon/e-line/1", "gluon/gluon/net-l3vpn/", None):
        assert MARKS.marked(network, {"name": name}) is None
    assert MARKS.marked(EntryId(Kind.VPN, "v"), {"name": f"gluon/gluon/net-l3vpn/{VPN}"}) is None


def test_network_identifiers_are_kept_apart() -> None:
    first = choose_vni(VPN, ())
    assert choose_vni(VPN, ()) == first
    assert choose_vni(VPN, {first}) != first
    # From the end of the range it goes on at its beginning.
    late = next(name for name in map(str, count()) if choose_vni(name, ()) > 16777214 - 2000)
    taken = {1, 2, 3, *range(choose_vni(late, ()), 16777215)}
    assert choose_vni(late, taken) == 4


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("64512:100", True),
        ("192.0.2.1:7", True),
        ("0:1", True),
        ("64512", False),
        ("a:b", False),
        ("1:", False),
    ],
)
def test_route_distinguishers(text: str, valid: bool) -> None:
    assert is_distinguisher(text) is valid
