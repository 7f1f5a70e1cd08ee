"""Whatever dies, packets go on as far as they can, and all is right when it is back."""

from __future__ import annotations

from packets.lab import SILENCE, Lab, eventually


def test_shim_killed(lab: Lab) -> None:
    vpn = lab.api.create_vpn("shimless")
    one = lab.boot(vpn, "10.31.0.10", "host-1")
    other = lab.boot(vpn, "10.31.0.11", "host-2")
    third = lab.boot(vpn, "10.31.0.12", "host-2")
    assert one.guest.ping(other.address) is not None

    lab.shim.kill()
    # What was built goes on; what is wished meanwhile waits, and what is destroyed stays so.
    assert one.guest.ping(other.address) is not None
    third.delete()
    late = lab.create(lab.api, "10.31.0.13")
    lab.api.join(late.port, vpn, late.address)
    lab.databases.nbctl("lsp-del", other.port)

    lab.shim.start()
    lab.shim_ready()
    assert one.guest.ping(other.address) is not None
    eventually(lambda: third.port not in str(lab.databases.rows("Logical_Switch_Port", "name")))
    one.hears_no_more_of(third.address)
    with third.guest.capture() as capture:
        assert one.guest.ping(third.address, SILENCE) is None
        assert capture.requests() == []
    late.start("host-2")
    late.guest.ask_for_address()
    assert one.guest.ping(late.address) is not None


def test_northd_killed_in_the_middle_of_changes(lab: Lab) -> None:
    vpn = lab.api.create_vpn("northless")
    one = lab.boot(vpn, "10.32.0.10", "host-1")
    other = lab.boot(vpn, "10.32.0.11", "host-2")
    assert one.guest.ping(other.address) is not None

    lab.northd.kill()
    try:
        late = lab.prepare(vpn, "10.32.0.12", "host-2")
        other.unbind()
        # The state of before holds as long as nobody makes flows of the new one.
        assert one.guest.ping(other.address) is not None
    finally:
        lab.northd.start()

    late.guest.ask_for_address()
    assert one.guest.ping(late.address) is not None
    one.hears_no_more_of(other.address)


def test_databases_killed_and_restarted_in_the_middle_of_changes(lab: Lab) -> None:
    vpn = lab.api.create_vpn("restarting")
    one = lab.boot(vpn, "10.33.0.10", "host-1")
    machines = [lab.create(lab.api, f"10.33.0.{number}") for number in range(20, 28)]
    for machine in machines:
        lab.api.join(machine.port, vpn, machine.address)

    binds = [lab.api.bind_in_background(machine.port, "host-2") for machine in machines]
    lab.databases.kill()
    binds += [lab.api.bind_in_background(machine.port, "host-2") for machine in machines[4:]]
    lab.databases.start()

    for bind in binds:
        assert bind.result().json()["vif_type"] == "ovs"
    for machine in machines[::4]:
        machine.guest.plug(lab.hosts["host-2"], machine.port)
        machine.guest.ask_for_address()
        assert one.guest.ping(machine.address) is not None


def test_a_database_that_forgot_everything_is_told_again(lab: Lab) -> None:
    vpn = lab.api.create_vpn("forgotten")
    one = lab.boot(vpn, "10.34.0.10", "host-1")
    other = lab.boot(vpn, "10.34.1.11", "host-2")
    assert one.guest.ping(other.address) is not None

    lab.databases.kill()
    lab.databases.wipe()
    lab.databases.start()

    eventually(lambda: other.port in str(lab.databases.rows("Logical_Switch_Port", "name")))
    eventually(lambda: one.guest.ping(other.address, 0.5) is not None, what="ping")
