"""Every command of every object of the upstream models, made from the models, against a real server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from client.conftest import models_dir
from client.runner import Command
from client.specimens import TENANT, specimen
from gluon.model.catalog import load_catalog
from gluon.model.model import ApiObject, Model, Role

MODELS = [versions[-1] for versions in load_catalog(models_dir()).services.values()]
OBJECTS = [pytest.param(m, o, id=f"{m.service}-{o.api_name}") for m in MODELS for o in m.objects.values()]

NEEDS_A_CONTROLLER = ("host_id",)
"""What starts a bind has tests of its own."""


def options_of(
    command: Command, model: Model, found: ApiObject, *, other: bool = False, all_of_them: bool = True
) -> tuple[list[str], dict[str, Any]]:
    """Options for a create or update, with the values that the API must then show."""
    options: list[str] = []
    expected: dict[str, Any] = {}
    for attribute in found.attributes.values():
        fixed = attribute.name in (found.key, found.parent_key)
        bind = found.role is Role.PORT and attribute.name in NEEDS_A_CONTROLLER
        if bind or (other and fixed) or not (all_of_them or attribute.required):
            continue
        if attribute.refers_to:
            text = created(command, model, model.objects[attribute.refers_to[0]])
            value: Any = text
        else:
            text, value = specimen(attribute, other=other)
        options += [f"--{attribute.name}", text]
        expected[attribute.name] = value
    return options, expected


def created(command: Command, model: Model, found: ApiObject) -> str:
    """The key of a new object."""
    options, _ = options_of(command, model, found, all_of_them=False)
    return str(command.json(f"{found.api_name}-create", *options)[found.key])


@pytest.mark.parametrize(("model", "found"), OBJECTS)
def test_create_show_list_update_clear_and_delete(
    model: Model, found: ApiObject, protonclient: Command
) -> None:
    command, noun = protonclient.for_api(model.service), found.api_name
    options, expected = options_of(command, model, found)

    stored = command.json(f"{noun}-create", *options)
    assert {name: stored[name] for name in expected} == expected
    assert list(stored) == [*found.attributes, "created_at", "updated_at", "revision_number"]
    key = str(stored[found.key])

    assert command.json(f"{noun}-show", key) == stored
    assert stored in command.json(f"{noun}-list")[found.plural]

    options, expected = options_of(command, model, found, other=True)
    changed = command.json(f"{noun}-update", key, *options)
    assert {name: changed[name] for name in expected} == expected
    assert changed["revision_number"] == 2

    for attribute in found.attributes.values():
        if not attribute.required and attribute.name not in (found.key, found.parent_key):
            cleared = command.json(f"{noun}-update", key, "--clear", attribute.name)
            assert cleared[attribute.name] is None

    assert command.out(f"{noun}-delete", "--cascade", "--dry-run", key) == ""
    assert command.json(f"{noun}-show", key)["revision_number"] > 1
    assert command.out(f"{noun}-delete", "--cascade", key) == ""
    assert key in command.error(f"{noun}-show", key)


@pytest.mark.parametrize(("model", "found"), OBJECTS)
def test_a_list_is_filtered_by_every_attribute(model: Model, found: ApiObject, protonclient: Command) -> None:
    command = protonclient.for_api(model.service)
    options, _ = options_of(command, model, found)
    stored = command.json(f"{found.api_name}-create", *options)
    for name, value in stored.items():
        if name in found.attributes and value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            dashed = name.replace("_", "-")
            listed = command.json(f"{found.api_name}-list", f"--{dashed}", text)[found.plural]
            assert stored in listed
            assert {o[name] for o in listed} == {value}


@pytest.mark.parametrize(("model", "found"), OBJECTS)
def test_the_help_names_every_attribute_and_what_is_required(
    model: Model, found: ApiObject, protonclient: Command
) -> None:
    command = protonclient.for_api(model.service)
    text = command.out(f"{found.api_name}-create", "--help")
    for attribute in found.attributes.values():
        assert f"--{attribute.name} " in text
    assert ("required" in text) == any(a.required for a in found.attributes.values())
    listed = command.out("--help")
    for verb in ("create", "show", "update", "delete", "list"):
        assert re.search(rf"^  {found.api_name}-{verb}\b", listed, re.MULTILINE)


def test_the_user_guides_commands_work_as_they_are_written(protonclient: Command) -> None:
    l3vpn = protonclient.for_api("net-l3vpn")
    guide = ["--tenant_id", TENANT]
    assert "interfaces" in l3vpn.json("interface-list")
    config = ["--vrf_rt_type", "both", "--vrf_rt_value", "1000:1000"]
    assert l3vpn.json("vpnafconfig-create", *config, *guide)["vrf_rt_value"] == "1000:1000"
    families = ["--ipv4_family", "1000:1000", "--ipv6_family", "1000:1000"]
    about = ["--route_distinguishers", "1000:1000", *guide, "--description", "My Test VPN"]
    vpn = l3vpn.json("vpn-create", "--name", "TestVPN", *families, *about)
    port = l3vpn.json(
        *("port-create", "--mac_address", "c8:2a:14:04:43:80", "--mtu", "1500", "--admin_state_up", "True"),
        *(
            "--name",
            "TestVPNPort",
            "--vlan_transparency",
            "True",
            "--vnic_type",
            "normal",
            "--vif_type",
            "ovs",
        ),
        *("--status", "ACTIVE", *guide),
    )
    assert (port["mtu"], port["admin_state_up"], port["vif_type"]) == (1500, True, "ovs")
    binding = l3vpn.json(
        *("vpnbinding-create", "--interface_id", port["id"], "--service_id", vpn["id"]),
        *("--ipaddress", "10.10.0.2", "--subnet_prefix", "24", "--gateway", "10.10.0.1", *guide),
    )
    assert binding["subnet_prefix"] == 24
    assert port in l3vpn.json("port-list")["ports"]
    assert vpn in l3vpn.json("vpn-list")["vpns"]
    assert binding in l3vpn.json("vpnbinding-list")["vpnbindings"]
    assert l3vpn.json("port-show", port["id"]) == port
    assert l3vpn.json("vpn-update", "--name", "NewName", vpn["id"])["name"] == "NewName"
    assert "referred to by" in l3vpn.error("port-delete", port["id"])
    l3vpn.out("vpnbinding-delete", port["id"])
    assert l3vpn.out("port-delete", port["id"]) == ""
