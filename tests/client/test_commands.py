"""Every command of every object of the upstream models, made from the models, against a real server."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.conftest import models_dir
from client.runner import PROTONCLIENT, Command
from client.specimens import TENANT, specimen
from gluon.client.sdk import Client
from gluon.model.catalog import load_catalog
from gluon.model.model import ApiObject, Model, Role

MODELS = [versions[-1] for versions in load_catalog(models_dir()).services.values()]
OBJECTS = [pytest.param(m, o, id=f"{m.service}-{o.api_name}") for m in MODELS for o in m.objects.values()]

PORT = [
    *("--mac_address", "c8:2a:14:04:43:80", "--mtu", "1500", "--admin_state_up", "True"),
    *("--vlan_transparency", "True", "--vnic_type", "normal", "--status", "ACTIVE", "--tenant_id", TENANT),
]

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


@pytest.fixture
def vpns(protonclient: Command) -> Iterator[list[dict[str, Any]]]:
    """Seven VPNs of a tenant that has no others, by name."""
    with Client(protonclient.url) as client:
        tenant = str(uuid.uuid4())
        bodies = [{"name": f"vpn {n}", "description": f"d{n % 2}", "tenant_id": tenant} for n in range(7)]
        yield list(client.proton("net-l3vpn").create_many("vpns", bodies))


def names(answer: dict[str, Any]) -> list[str]:
    return [vpn["name"] for vpn in answer["vpns"]]


class TestLists:
    """Lists longer than a page of the server."""

    @pytest.fixture(autouse=True)
    def _given(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        self.vpns = vpns
        self.command = protonclient.for_api("net-l3vpn")
        self.of_tenant = ["--tenant_id", vpns[0]["tenant_id"]]

    def listed(self, *options: str) -> Any:
        return self.command.json("vpn-list", *self.of_tenant, *options)

    def test_all_pages_are_in_the_list(self) -> None:
        assert sorted(names(self.listed())) == [f"vpn {n}" for n in range(7)]

    def test_the_order_is_kept_across_pages(self) -> None:
        down = ("--sort_key", "name", "--sort_dir", "desc")
        assert names(self.listed(*down)) == [f"vpn {n}" for n in reversed(range(7))]

    @pytest.mark.parametrize("limit", [1, 3, 5, 7, 100])
    def test_the_limit_is_for_the_whole_list(self, limit: int) -> None:
        assert names(self.listed("--limit", str(limit), "--sort-key", "name")) == [
            f"vpn {n}" for n in range(min(limit, 7))
        ]

    def test_a_list_goes_on_behind_the_marker(self) -> None:
        marker = self.vpns[4]["id"]
        assert names(self.listed("--marker", marker, "--sort_key", "name")) == ["vpn 5", "vpn 6"]

    def test_a_repeated_filter_takes_any_of_the_values(self) -> None:
        assert sorted(names(self.listed("--name", "vpn 1", "--name", "vpn 3"))) == ["vpn 1", "vpn 3"]

    def test_several_filters_must_all_hold(self) -> None:
        assert names(self.listed("--name", "vpn 1", "--description", "d0")) == []

    def test_columns_are_all_that_is_printed(self) -> None:
        answer = self.listed("-c", "name,id", "--sort_key", "name", "--limit", "1")
        assert answer == {"vpns": [{"name": "vpn 0", "id": self.vpns[0]["id"]}]}

    def test_fields_are_all_that_is_asked_for(self) -> None:
        answer = self.listed("--fields", "name", "--sort_key", "name", "--limit", "2")
        assert answer == {"vpns": [{"name": "vpn 0"}, {"name": "vpn 1"}]}

    def test_csv_and_value(self) -> None:
        order = ("--sort_key", "name", "-c", "name", "-c", "description")
        text = self.command.out("vpn-list", *self.of_tenant, *order, "-f", "csv")
        assert list(csv.reader(io.StringIO(text)))[:2] == [["name", "description"], ["vpn 0", "d0"]]
        text = self.command.out("vpn-list", *self.of_tenant, *order, "-f", "value")
        assert text.splitlines()[1] == "vpn 1\td1"

    def test_a_limit_that_is_none_is_an_error(self) -> None:
        assert "--limit" in self.command.error("vpn-list", "--limit", "0")

    def test_an_unknown_column_is_answered_with_the_nearest(self) -> None:
        assert "did you mean name?" in self.command.error("vpn-list", "-c", "nmae")

    def test_an_unknown_sort_key_is_the_servers_to_refuse(self) -> None:
        assert "sort_key: there is no attribute 'nmae'" in self.command.error(
            "vpn-list", "--sort_key", "nmae"
        )


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
            *("--option_0", "o", "--Format", "F", "--_x", "y", "--format", "json"),
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
            "self": "me",
            "option_0": "o",
            "Format": "F",
            "_x": "y",
        }
        changed = self.odd.json("thing-update", "k1", "--clear", "clear", "--attr:columns", "4")
        assert (changed["clear"], changed["columns"]) == (None, 4)
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


class TestChoosing:
    """Which service, which version, which command."""

    def test_without_a_service_the_services_are_named(self, protonclient: Command) -> None:
        for arguments in ([], ["port-list"]):
            result = protonclient.run(*arguments)
            assert result.exit_code == 1
            assert result.stdout == ""
            for model in MODELS:
                assert f"  {model.service}\n" in result.stderr
            assert "--api" in result.stderr

    def test_a_service_without_a_command_shows_its_commands(self, protonclient: Command) -> None:
        result = protonclient.for_api("net-l3vpn").run()
        assert result.exit_code == 1
        assert "vpnbinding-create" in result.stderr

    @pytest.mark.parametrize("api", ["net-l3vpn/v1.0", "net-l3vpn/1.0"])
    def test_the_version_may_be_said(self, protonclient: Command, api: str) -> None:
        assert "ports" in protonclient.for_api(api).json("port-list")

    def test_the_version_may_be_an_option(self, protonclient: Command) -> None:
        assert "ports" in protonclient.for_api("net-l3vpn").json("--api-version", "v1.0", "port-list")

    def test_an_unknown_version_is_answered_with_those_there_are(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpn/v7").error("port-list")
        assert line.endswith("serves net-l3vpn as v1.0, not as v7")

    def test_an_unknown_service_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpm").error("port-list")
        assert line.endswith("does not serve net-l3vpm; did you mean net-l3vpn?")

    def test_an_unknown_command_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        line = protonclient.for_api("net-l3vpn").error("prot-list")
        assert line == "protonclient: net-l3vpn has no command prot-list; did you mean port-list?"

    def test_an_unknown_option_is_answered_with_the_nearest(self, protonclient: Command) -> None:
        assert "--mac_address" in protonclient.for_api("net-l3vpn").error("port-create", "--mac_adress", "x")

    def test_a_missing_key_is_an_error_in_one_line(self, protonclient: Command) -> None:
        assert "ID" in protonclient.for_api("net-l3vpn").error("port-show")

    def test_underscores_and_dashes_are_alike_in_commands(self, protonclient: Command) -> None:
        assert "ports" in protonclient.for_api("net-l3vpn").json("port_list")


class TestProcesses:
    """The same as a process of its own, at a terminal and in a pipe."""

    def test_a_pipe_gets_json(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        result = protonclient.for_api("net-l3vpn").process("vpn-show", vpns[0]["id"])
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout) == vpns[0]

    def test_a_terminal_gets_a_table(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        text = at_a_terminal(protonclient.url, "vpn-list", "--tenant_id", vpns[0]["tenant_id"])
        assert "│" in text
        assert vpns[6]["id"] in text

    def test_a_reader_that_leaves_is_no_error_worth_a_word(
        self, protonclient: Command, vpns: list[dict[str, Any]]
    ) -> None:
        process = subprocess.Popen(
            [PROTONCLIENT, "--url", protonclient.url, "--api", "net-l3vpn", "vpn-list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(30) == 1

    def test_a_full_disk_is_one_line(self, protonclient: Command) -> None:
        command = [PROTONCLIENT, "--url", protonclient.url, "--api", "net-l3vpn", "vpn-list"]
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (result.returncode, result.stderr) == (
            1,
            "protonclient: can't write: No space left on device\n",
        )

    def test_commands_options_and_values_are_completed(self, protonclient: Command) -> None:
        def completed(*words: str) -> set[str]:
            line = f"protonclient --url {protonclient.url} {' '.join(words)}"
            result = protonclient.process(
                _PROTONCLIENT_COMPLETE="bash_complete",
                COMP_WORDS=line,
                COMP_CWORD=str(len(words) + 2),
            )
            assert result.stderr == ""
            return {entry.partition(",")[2] for entry in result.stdout.splitlines()}

        assert completed("--api", "net-") == {"net-l3vpn"}
        assert "vpnbinding-create" in completed("--api", "net-l3vpn", "vpnb")
        assert completed("--api", "net-l3vpn", "port-create", "--mac") == {"--mac_address"}
        assert completed("--api", "net-l3vpn", "port-create", "--vnic_type", "mac") == {"macvtap"}
        assert completed("--api", "net-l3vpn", "port-list", "-c", "mac") == {"mac_address"}


def at_a_terminal(url: str, *arguments: str) -> str:
    """What a command prints on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    command = [PROTONCLIENT, "--url", url, "--api", "net-l3vpn", *arguments]
    process = subprocess.Popen(command, stdout=theirs, env=environment)
    os.close(theirs)
    printed = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # what Linux says when the other side of a terminal is closed
            break
        if not chunk:
            break
        printed += chunk
    os.close(ours)
    assert process.wait(30) == 0
    return printed.decode()
