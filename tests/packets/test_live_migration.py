"""A machine moves to another host while it is pinged, as Nova does it: prepare, switch over, activate."""

from __future__ import annotations

import threading

from packets.guests import Guest, Pinger
from packets.lab import Lab, Machine, eventually

_LONGEST_GAP = 2.0
"""Seconds; it is some hundredths. Without a second binding, a whole bind and plug would be in it."""


def _switch_over(guest: Guest, lease_address: str, router: str) -> None:
    """What a hypervisor does in a moment: stop it here, let it run there, and announce it (RARP)."""
    guest.namespace.batch(
        "link set eth0 down",
        f"addr add {lease_address} dev eth1",
        "link set eth1 up",
        f"route replace default via {router} dev eth1",
    )
    guest.announce("eth1")


def test_live_migration_while_pinging(lab: Lab) -> None:
    vpn = lab.api.create_vpn("migrating")
    watcher = lab.boot(vpn, "10.41.0.10", "host-1")
    machine = lab.boot(vpn, "10.41.1.20", "host-1")
    assert watcher.guest.ping(machine.address) is not None

    with watcher.guest.pinger(machine.address, every=0.01) as pinger:
        ended = threading.Event()
        pinging = threading.Thread(target=lambda: _ping_until(pinger, ended))
        pinging.start()
        try:
            _migrate(lab, machine)
            answered = len(pinger.answers)
            eventually(lambda: len(pinger.answers) > answered + 20, what="answers from the new host")
        finally:
            ended.set()
            pinging.join()
        gap = pinger.longest_gap()

    print(f"live migration: {gap * 1000:.0f} ms without an answer")
    assert gap < _LONGEST_GAP
    assert [binding["host"] for binding in _bindings(lab, machine)] == ["host-2"]
    # The old host has nothing to do with it any more.
    assert _requested(lab, machine) == "host-2"


def test_a_migration_that_is_given_up_leaves_all_as_it_was(lab: Lab) -> None:
    vpn = lab.api.create_vpn("staying")
    watcher = lab.boot(vpn, "10.42.0.10", "host-1")
    machine = lab.boot(vpn, "10.42.1.20", "host-1")

    lab.api.request("POST", f"ports/{machine.port}/bindings", 201, {"host": "host-2"})
    machine.guest.plug(lab.hosts["host-2"], machine.port, inside="eth1")
    assert watcher.guest.ping(machine.address) is not None
    assert _requested(lab, machine) == "host-1,host-2"

    lab.api.request("DELETE", f"ports/{machine.port}/bindings/host-2", 204)
    eventually(lambda: _requested(lab, machine) == "host-1")
    assert watcher.guest.ping(machine.address) is not None


def _migrate(lab: Lab, machine: Machine) -> None:
    path = f"ports/{machine.port}/bindings"
    made = lab.api.request("POST", path, 201, {"host": "host-2"})
    assert (made["vif_type"], made["status"]) == ("ovs", "INACTIVE")
    machine.guest.plug(lab.hosts["host-2"], machine.port, inside="eth1", listening=False)
    lab.databases.nbctl("--wait=hv", "sync")

    _switch_over(machine.guest, f"{machine.address}/24", "10.41.1.1")
    active = lab.api.request("PUT", f"{path}/host-2/activate", 200)
    assert active["status"] == "ACTIVE"

    machine.guest.unplug(lab.hosts["host-1"])
    lab.api.request("DELETE", f"{path}/host-1", 204)
    eventually(lambda: _requested(lab, machine) == "host-2")


def _ping_until(pinger: Pinger, ended: threading.Event) -> None:
    while not ended.is_set():
        pinger.run(0.1)


def _bindings(lab: Lab, machine: Machine) -> list[dict[str, str]]:
    return list(lab.api.request("GET", f"ports/{machine.port}/bindings", 200)["bindings"])


def _requested(lab: Lab, machine: Machine) -> str:
    rows = lab.databases.rows("Logical_Switch_Port", "name", "options")
    return str(next(row["options"]["requested-chassis"] for row in rows if row["name"] == machine.port))
