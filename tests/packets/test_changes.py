"""What becomes of packets when ports are unbound, moved and deleted, and when somebody else writes to OVN."""

from __future__ import annotations

import pytest

from packets.lab import SILENCE, Lab, Machine, Vpn, eventually


@pytest.fixture(scope="module")
def vpn(lab: Lab) -> Vpn:
    return lab.api.create_vpn("changing")


@pytest.fixture(scope="module")
def watcher(lab: Lab, vpn: Vpn) -> Machine:
    """A machine that stays, from which others are pinged."""
    return lab.boot(vpn, "10.21.0.10", "host-1")


def _falls_silent(watcher: Machine, machine: Machine) -> None:
    watcher.hears_no_more_of(machine.address)
    with machine.guest.capture() as capture:
        assert watcher.guest.ping(machine.address, SILENCE) is None
        assert capture.requests() == []


def test_an_unbound_port_is_cut_off_until_it_is_bound_again(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    machine = lab.boot(vpn, "10.21.0.20", "host-2")
    assert watcher.guest.ping(machine.address) is not None

    machine.unbind()
    _falls_silent(watcher, machine)

    machine.bind("host-2")
    assert watcher.guest.ping(machine.address) is not None


def test_a_deleted_port_is_cut_off_and_leaves_nothing(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    machine = lab.boot(vpn, "10.22.0.20", "host-2")
    assert watcher.guest.ping(machine.address) is not None

    machine.delete()
    _falls_silent(watcher, machine)

    eventually(lambda: machine.port not in str(lab.databases.rows("Logical_Switch_Port", "name")))
    # Nor the subnet, in which nobody else was.
    eventually(lambda: "10.22.0.0" not in str(lab.databases.rows("Logical_Switch", "name")))
    assert "10.22.0" not in str(lab.databases.rows("Logical_Router_Port", "networks"))
    assert "10.22.0" not in str(lab.databases.rows("DHCP_Options", "cidr"))


def test_a_port_that_moves_is_reached_on_its_new_host(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    machine = lab.boot(vpn, "10.21.0.30", "host-1")
    assert watcher.guest.ping(machine.address) is not None

    machine.guest.unplug(lab.hosts["host-1"])
    machine.start("host-2")
    machine.guest.ask_for_address()

    assert watcher.guest.ping(machine.address) is not None


def test_a_host_that_was_not_asked_gets_none_of_it(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    machine = lab.boot(vpn, "10.21.0.31", "host-2")
    thief = lab.create(lab.api, "10.21.0.31")
    thief.guest.plug(lab.hosts["host-1"], machine.port)

    with thief.guest.capture() as capture:
        assert watcher.guest.ping(machine.address) is not None
        assert capture.requests() == []


@pytest.mark.parametrize("kind", ["port", "switch", "router"])
def test_what_is_deleted_by_hand_comes_back(lab: Lab, vpn: Vpn, watcher: Machine, kind: str) -> None:
    machine = lab.boot(vpn, "10.23.0.20", "host-2")
    assert watcher.guest.ping(machine.address) is not None
    router = f"gluon-{vpn.key}"

    lab.databases.nbctl(
        *{
            "port": ("lsp-del", machine.port),
            "switch": ("ls-del", f"{router}_10.23.0.0_24"),
            "router": ("lr-del", router),
        }[kind]
    )

    assert watcher.guest.ping(machine.address) is not None
    machine.delete()


def test_what_is_changed_by_hand_is_put_right(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    machine = lab.boot(vpn, "10.21.0.40", "host-2")
    before = _row(lab, machine.port)

    lab.databases.nbctl("lsp-set-port-security", machine.port)
    eventually(lambda: _row(lab, machine.port) == before)
    lab.databases.nbctl("lsp-set-addresses", machine.port, "02:00:00:00:00:01 10.9.9.9")
    eventually(lambda: _row(lab, machine.port) == before)
    # Even who made it.
    lab.databases.nbctl("clear", "Logical_Switch_Port", machine.port, "external_ids")
    eventually(lambda: _row(lab, machine.port) == before)

    # What others add is theirs.
    lab.databases.nbctl("set", "Logical_Switch_Port", machine.port, "external_ids:mine=yes")
    machine.unbind()
    machine.bind("host-2")
    assert watcher.guest.ping(machine.address) is not None


def test_what_is_not_ours_stays_and_strays_go(lab: Lab, vpn: Vpn, watcher: Machine) -> None:
    switch = f"gluon-{vpn.key}_10.21.0.0_24"
    lab.databases.nbctl(
        *("ls-add", "theirs", "--", "lsp-add", "theirs", "their-port", "--", "lr-add", "their-router"),
        *("--", "lsp-add", switch, "their-port-in-ours"),
    )
    # As of another Gluon that shares the database, and as of this one.
    for name, owner in (("other", "other"), ("stray", "gluon")):
        tags = {"owner": owner, "service": "net-l3vpn", "row": "subnet x/10.0.0.0/8"}
        settings = (f'external_ids:"gluon:{tag}"="{text}"' for tag, text in tags.items())
        lab.databases.nbctl("ls-add", name, "--", "set", "Logical_Switch", name, *settings)

    eventually(lambda: "stray" not in str(lab.databases.rows("Logical_Switch", "name")))
    assert {"theirs", "other"} <= {row["name"] for row in lab.databases.rows("Logical_Switch", "name")}
    ports = {row["name"] for row in lab.databases.rows("Logical_Switch_Port", "name")}
    assert {"their-port", "their-port-in-ours"} <= ports
    lab.databases.nbctl("ls-del", "theirs", "--", "ls-del", "other", "--", "lr-del", "their-router")
    lab.databases.nbctl("lsp-del", "their-port-in-ours")


def test_a_port_name_that_others_have_is_said_and_left_alone(lab: Lab, vpn: Vpn) -> None:
    machine = lab.create(lab.api, "10.21.0.50")
    lab.api.join(machine.port, vpn, machine.address)
    lab.databases.nbctl("ls-add", "theirs", "--", "lsp-add", "theirs", machine.port)

    body = {"host_id": "host-1", "device_id": "7fa1b3f6-6d9e-4a0e-8a3a-6d3a2d9a7d10"}
    lab.api.request("PUT", f"ports/{machine.port}?dry_run=true", 200, body)
    bound = lab.api.request_in_background("PUT", f"ports/{machine.port}", body)
    try:
        reason = eventually(lambda: lab.api.status(machine.port).get("reason"))
        assert "isn't Gluon's" in reason
    finally:
        lab.databases.nbctl("ls-del", "theirs")
    # The name is free: it is bound without anybody asking again.
    assert bound.result().json()["vif_type"] == "ovs"


def _row(lab: Lab, name: str) -> dict[str, object]:
    columns = ("name", "addresses", "port_security", "options", "external_ids")
    return next(row for row in lab.databases.rows("Logical_Switch_Port", *columns) if row["name"] == name)
