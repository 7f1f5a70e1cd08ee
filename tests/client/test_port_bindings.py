"""The bindings of a port, by the SDK and by commands; no controller answers here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from client.runner import Command
from client.specimens import TENANT
from gluon.client.errors import Conflict, InvalidRequest, NotFound
from gluon.client.sdk import Client, Proton

PORT = {
    "mac_address": "c8:2a:14:04:43:80",
    "mtu": 1500,
    "admin_state_up": True,
    "vlan_transparency": False,
    "vnic_type": "normal",
    "status": "ACTIVE",
    "tenant_id": TENANT,
    "host_id": "h1",
}


@pytest.fixture
def l3vpn(server_url: str) -> Iterator[Proton]:
    with Client(server_url) as client:
        yield client.proton("net-l3vpn")


@pytest.fixture
def port(l3vpn: Proton) -> str:
    """A port whose bind on h1 nobody has answered."""
    return str(l3vpn.create("port", {**PORT, "device_id": str(uuid.uuid4())})["id"])


def test_the_sdk_makes_ready_shows_and_deletes(l3vpn: Proton, port: str) -> None:
    bindings = l3vpn.port_bindings(port)
    dry = bindings.create("h2", dry_run=True)
    assert (dry["status"], dry["vif_type"]) == ("INACTIVE", None)
    made = bindings.create("h2", profile='{"a": 1}')
    assert made == {
        "host": "h2",
        "status": "INACTIVE",
        "vnic_type": "normal",
        "profile": '{"a": 1}',
        "vif_type": "binding_failed",
        "vif_details": None,
    }
    assert [binding["host"] for binding in bindings.list()] == ["h1", "h2"]
    assert bindings.get("h2") == made
    assert bindings.update("h2", {"profile": None})["profile"] is None
    with pytest.raises(Conflict, match="no controller has bound it"):
        bindings.activate("h2")
    with pytest.raises(Conflict):
        bindings.create("h2")
    bindings.delete("h2")
    with pytest.raises(NotFound):
        bindings.get("h2")
    with pytest.raises(InvalidRequest):
        bindings.get("..")


def test_the_commands_do_the_same(protonclient: Command, port: str) -> None:
    api = protonclient.for_api("net-l3vpn")
    made = api.json("port-binding-create", port, "a/b", "--profile", "{}")
    assert (made["host"], made["profile"], made["vif_type"]) == ("a/b", "{}", "binding_failed")
    assert api.json("port-binding-show", port, "a/b") == made
    listed = api.json("port-binding-list", port)["bindings"]
    assert [(b["host"], b["status"]) for b in listed] == [("h1", "ACTIVE"), ("a/b", "INACTIVE")]
    assert (
        api.out("port_binding_list", port, "-f", "value", "-c", "host,status")
        == "h1\tACTIVE\na/b\tINACTIVE\n"
    )
    assert "can't be activated" in api.error("port-binding-activate", port, "a/b")
    assert "did you mean vif_type" in api.error("port-binding-show", port, "h1", "-c", "vif_typ")
    assert api.out("port-binding-delete", port, "a/b", "--dry-run") == ""
    assert api.out("port-binding-delete", port, "a/b") == ""
    assert "has no binding on host 'a/b'" in api.error("port-binding-show", port, "a/b")
    assert "Make a port ready on another host" in api.out("port-binding-create", "--help")
