from __future__ import annotations

import random
from dataclasses import replace

from gluon.shim.backends.ovn.mapping import Mapping
from gluon.shim.backends.ovn.plan import Plan
from gluon.shim.backends.ovn.rows import Kind, RowId
from gluon.shim.backends.ovn.slots import assign_slots
from shim.ovn.wishing import SETTINGS, attachment, port, vpn


def _plan() -> Plan:
    return Plan(Mapping("net-l3vpn", SETTINGS))


def _routes(plan: Plan) -> set[str]:
    plan.refresh()
    return {id.key for id in plan.all_rows() if id.kind is Kind.ROUTE}


def _site(plan: Plan, key: str, address: str, **targets: list[str]) -> None:
    plan.put_service(vpn(key, **targets))
    plan.put_port(port(attachment(key, address, interface=f"p-{key}"), key=f"p-{key}"))


def test_rows_wait_for_the_service_that_they_belong_to() -> None:
    plan = _plan()
    plan.put_port(port(attachment("v", "10.0.0.5/24")))

    assert RowId(Kind.GATEWAY, "v/10.0.0.0/24") not in plan.all_rows()
    plan.put_service(vpn("v"))
    assert RowId(Kind.GATEWAY, "v/10.0.0.0/24") in plan.all_rows()


def test_a_subnet_goes_with_its_last_port() -> None:
    plan = _plan()
    plan.put_service(vpn("v"))
    for key in ("p", "q"):
        plan.put_port(port(attachment("v", "10.0.0.5/24", interface=key), key=key))
    plan.take_changed()

    plan.drop_port("p")
    assert plan.take_changed() == {RowId(Kind.INTERFACE, "p")}
    plan.drop_port("q")
    assert RowId(Kind.SUBNET, "v/10.0.0.0/24") in plan.take_changed()
    assert [id.kind for id in plan.all_rows()] == [Kind.VPN]


def test_routes_go_from_those_that_export_to_those_that_import() -> None:
    plan = _plan()
    _site(plan, "hub", "10.0.0.5/24", imports=["s"], exports=["h"])
    _site(plan, "left", "10.1.0.5/24", imports=["h"], exports=["s"])
    _site(plan, "right", "10.2.0.5/24", imports=["h"], exports=["s"])
    _site(plan, "none", "10.3.0.5/24")

    assert _routes(plan) == {
        *("hub/10.1.0.0/24", "hub/10.2.0.0/24"),
        *("left/10.0.0.0/24", "right/10.0.0.0/24"),
    }


def test_a_prefix_of_one_s_own_is_never_elsewhere_and_the_older_of_two_wins() -> None:
    plan = _plan()
    for key, since in (("young", "2026-02"), ("old", "2026-01")):
        plan.put_service(vpn(key, exports=["t"], since=since))
        plan.put_port(port(attachment(key, "10.1.0.5/24", interface=key), key=key))
    plan.put_service(vpn("taker", imports=["t"]))
    plan.put_service(vpn("same", imports=["t"]))
    plan.put_port(port(attachment("same", "10.1.0.5/24", interface="same"), key="same"))

    assert _routes(plan) == {"taker/10.1.0.0/24"}
    row = plan.all_rows()[RowId(Kind.ROUTE, "taker/10.1.0.0/24")]
    gateway = plan.all_rows()[RowId(Kind.TRANSIT_GATEWAY, "old")]
    assert f"{row.columns['nexthop']}/17" in gateway.columns["networks"]


def test_whatever_the_order_in_which_objects_come_and_go_the_rows_are_the_same() -> None:
    generator = random.Random(7)
    services = {
        key: vpn(key, imports=generator.sample("abcd", 2), exports=generator.sample("abcd", 2), since=key)
        for key in "stuvwx"
    }
    ports = {
        f"p{n}": port(
            attachment(generator.choice("stuvwx"), f"10.{n % 5}.0.{n + 2}/24", interface=f"p{n}"), key=f"p{n}"
        )
        for n in range(30)
    }

    def put_all(plan: Plan, keys: list[str]) -> None:
        for key in keys:
            if key in services:
                plan.put_service(services[key])
            else:
                plan.put_port(ports[key])

    expected = _plan()
    put_all(expected, [*services, *ports])
    expected.refresh()
    for seed in range(5):
        plan = _plan()
        keys = [*services, *ports]
        random.Random(seed).shuffle(keys)
        put_all(plan, keys)
        plan.refresh()
        for key in keys[:15]:
            if key in services:
                plan.drop_service(key)
            else:
                plan.put_port(replace(ports[key], hosts=(), attachments=()))
                plan.drop_port(key)
            plan.refresh()
        put_all(plan, keys[:15])
        plan.refresh()
        assert plan.all_rows() == expected.all_rows()


def test_a_new_service_takes_no_transit_address_from_an_older_one() -> None:
    services = [vpn(f"v{n}", since=f"{n:03}") for n in range(60)]
    before = assign_slots(services[:59], 64)

    after = assign_slots(services, 64)

    assert len(set(after.values())) == 60
    assert before == {key: slot for key, slot in after.items() if key != "v59"}
    assert len(assign_slots(services, 20)) == 20
