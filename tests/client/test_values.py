"""Values on the command line: nothing, the empty string, wrong types, odd names."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from client.runner import Command
from client.specimens import TENANT


class TestValues:
    """Nothing, the empty string, and values of the wrong type."""

    @pytest.fixture(autouse=True)
    def _given(self, protonclient: Command) -> None:
        self.command = protonclient.for_api("net-l3vpn")

    def vpn(self, *options: str) -> Any:
        return self.command.json("vpn-create", "--tenant_id", TENANT, *options)

    def test_what_is_left_out_is_null(self) -> None:
        assert self.vpn()["name"] is None

    def test_the_empty_string_is_sent_as_one(self) -> None:
        assert self.vpn("--name", "")["name"] == ""

    def test_clear_makes_null_of_a_value(self) -> None:
        vpn = self.vpn("--name", "x", "--ipv4_family", "1:1", "--ipv6_family", "1:2")
        cleared = self.command.json("vpn-update", vpn["id"], "--clear", "name", "--clear", "ipv4-family")
        assert (cleared["name"], cleared["ipv4_family"], cleared["ipv6_family"]) == (None, None, "1:2")

    def test_a_value_cannot_be_given_and_cleared(self) -> None:
        line = self.command.error("vpn-update", self.vpn()["id"], "--clear", "name", "--name", "x")
        assert line == "protonclient: name: can't be both given and cleared"

    def test_a_required_value_cannot_be_cleared(self) -> None:
        line = self.command.error("vpn-update", self.vpn()["id"], "--clear", "tenant_id")
        assert "tenant_id: is required" in line

    def test_an_update_of_nothing_is_an_error(self) -> None:
        assert "nothing to change" in self.command.error("vpn-update", self.vpn()["id"])

    def test_values_may_look_like_options_and_like_other_types(self) -> None:
        vpn = self.vpn("--name", "-x", "--description", "true", "--ipv4_family", "null")
        assert (vpn["name"], vpn["description"], vpn["ipv4_family"]) == ("-x", "true", "null")

    def test_keys_may_hold_any_character(self) -> None:
        for key in ("-1:1", "a/b?c#d%2F e", "ü\n"):
            config = ["--vrf_rt_value", key, "--vrf_rt_type", "both", "--tenant_id", TENANT]
            self.command.json("vpnafconfig-create", *config)
            assert self.command.json("vpnafconfig-show", "--", key)["vrf_rt_value"] == key
            self.command.out("vpnafconfig-delete", "--", key)

    def test_all_wrong_values_are_in_the_one_line(self) -> None:
        line = self.command.error(
            *("port-create", "--mtu", "many", "--admin_state_up", "perhaps", "--vnic_type", "norml"),
            *("--mac_address", "x", "--tenant_id", TENANT, "--status", "ACTIVE"),
        )
        for field in ("mtu: ", "admin_state_up: ", "vnic_type: ", "mac_address: ", "vlan_transparency: "):
            assert field in line
        assert "did you mean normal?" in line

    def test_a_reference_to_nothing_is_named(self) -> None:
        line = self.command.error(
            *("vpnbinding-create", "--interface_id", str(uuid.uuid4()), "--service_id", str(uuid.uuid4())),
            *("--tenant_id", TENANT),
        )
        assert "interface_id: " in line
        assert "service_id: " in line

    @pytest.mark.parametrize("key", ["", ".", ".."])
    def test_what_cannot_be_a_key_is_refused(self, key: str) -> None:
        assert "can't stand for an object" in self.command.error("vpn-delete", key)

    def test_a_bind_that_nobody_answers_says_so(self) -> None:
        port = self.command.json(
            *(
                "port-create",
                "--mac_address",
                "c8:2a:14:04:43:80",
                "--mtu",
                "1500",
                "--admin_state_up",
                "True",
            ),
            *(
                "--vlan_transparency",
                "no",
                "--vnic_type",
                "normal",
                "--status",
                "ACTIVE",
                "--tenant_id",
                TENANT,
            ),
        )
        bind = ["--host_id", "compute-7", "--device_id", str(uuid.uuid4())]
        assert self.command.json("port-update", port["id"], *bind)["vif_type"] == "binding_failed"
        assert self.command.json("port-update", port["id"], "--clear", "host_id")["vif_type"] is None


class TestOddNames:
    """Attributes that are called like options of the command line, or like parameters of the API."""

    @pytest.fixture(autouse=True)
    def _given(self, protonclient: Command) -> None:
        self.odd = protonclient.for_api("odd")

    def test_options_of_the_command_win_and_the_attribute_has_a_prefix(self) -> None:
        thing = self.odd.json(
            *(
                "thing-create",
                "--key",
                "k1",
                "--attr:format",
                "f",
                "--attr:columns",
                "3",
                "--attr:help",
                "true",
            ),
            *("--attr:clear", "c", "--limit", "7", "--fields", "x", "--cascade", "no", "--self", "me"),
            *("--attr:dry_run", "dry", "--option_0", "o", "--Format", "F", "--_x", "y", "--format", "json"),
        )
        del thing["created_at"], thing["updated_at"], thing["revision_number"]
        assert thing == {
            "key": "k1",
            "format": "f",
            "columns": 3,
            "clear": "c",
            "help": True,
            "limit": 7,
            "fields": "x",
            "cascade": "no",
            "dry_run": "dry",
            "self": "me",
            "option_0": "o",
            "Format": "F",
            "_x": "y",
        }
        changed = self.odd.json("thing-update", "k1", "--clear", "clear", "--attr:columns", "4")
        assert (changed["clear"], changed["columns"]) == (None, 4)
        changed = self.odd.json("thing-update", "k1", "--attr:dry-run", "wet", "--dry-run")
        assert changed["dry_run"] == "wet"
        assert self.odd.json("thing-show", "k1")["dry_run"] == "dry"
        self.odd.out("thing-delete", "k1", "--cascade")

    @pytest.mark.parametrize(
        ("given", "filtered", "value"),
        [
            ("--limit", "--attr:limit", "7"),
            ("--fields", "--attr:fields", "x"),
            ("--attr:format", "--attr:format", "f"),
            ("--self", "--self", "me"),
            ("--_x", "--_x", "y"),
        ],
    )
    def test_lists_are_filtered_by_them_all_the_same(self, given: str, filtered: str, value: str) -> None:
        self.odd.json("thing-create", "--key", "k2", given, value)
        self.odd.json("thing-create", "--key", "k3")
        things = self.odd.json("thing-list", filtered, value, "--limit", "9")["things"]
        assert [thing["key"] for thing in things] == ["k2"]
        self.odd.out("thing-delete", "k2")
        self.odd.out("thing-delete", "k3")
