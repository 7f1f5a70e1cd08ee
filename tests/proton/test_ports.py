"""Ports over HTTP: the default interface, ids over all services, and the life of a binding."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from proton.controlling import DETAILS, controller_on
from proton.serving import TENANT, Api, port, serving
from servers.etcd import EtcdServer

DEVICE = str(uuid.uuid4())
BIND = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}


async def eventually(api: Api, path: str, **expected: Any) -> dict[str, Any]:
    """The object once it has these values; fails after ten seconds."""
    async with asyncio.timeout(10):
        while True:
            document = await api.get(path)
            if document | expected == document:
                return document
            await asyncio.sleep(0.05)


async def test_a_port_has_a_default_interface_that_comes_and_goes_with_it(api: Api) -> None:
    created = await api.create("ports", **port())
    interface = await api.get(f"interfaces/{created['id']}")
    assert interface["port_id"] == created["id"]
    assert interface["name"] == "TestVPNPort_default"
    assert (interface["segmentation_type"], interface["segmentation_id"]) == ("none", 0)
    assert interface["tenant_id"] == TENANT
    await api.delete(f"interfaces/{created['id']}", expect=409)
    await api.delete(f"ports/{created['id']}")
    await api.get(f"interfaces/{created['id']}", expect=404)


@pytest.mark.parametrize(
    ("name", "expected"), [(None, "default"), ("", "default"), ("n" * 64, "n" * 56 + "_default")]
)
async def test_the_default_interface_is_named_after_its_port(
    api: Api, name: str | None, expected: str
) -> None:
    created = await api.create("ports", **port(name=name))
    assert (await api.get(f"interfaces/{created['id']}"))["name"] == expected


async def test_a_port_id_is_unique_over_all_services(api: Api) -> None:
    created = await api.create("ports", **port())
    other = await api.request("POST", "/proton/test/v1.0/ports", json=port(id=created["id"]))
    assert other.status_code == 409, other.text


async def test_a_bind_answers_with_what_the_controller_said(api: Api) -> None:
    async with controller_on(api) as controller:
        created = await api.create("ports", **port())
        bound = await api.put(f"ports/{created['id']}", **BIND, profile='{"a": 1}')
    assert (bound["vif_type"], bound["status"], bound["host_id"]) == ("ovs", "ACTIVE", "compute-1")
    assert json.loads(bound["vif_details"]) == DETAILS
    assert bound["profile"] == '{"a": 1}'
    assert "bind_id" not in bound
    assert await api.get(f"ports/{created['id']}") == bound
    under_way = await controller.asked(created["id"])
    assert (under_way["status"], under_way["vif_type"], under_way["bindings"]) == ("DOWN", None, [])


async def test_creating_with_host_and_device_binds_too(api: Api) -> None:
    async with controller_on(api):
        assert (await api.create("ports", **port(), **BIND))["vif_type"] == "ovs"
        bodies = {"ports": [port(name=f"p{i}") | BIND for i in range(3)]}
        answer = await api.request("POST", "ports", 201, json=bodies)
    assert [p["status"] for p in answer.json()["ports"]] == ["ACTIVE"] * 3


async def test_a_bind_that_nobody_answers_fails_in_time_and_is_healed_by_a_late_answer(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        created = await api.create("ports", **port())
        start = asyncio.get_running_loop().time()
        failed = await api.put(f"ports/{created['id']}", **BIND)
        waited = asyncio.get_running_loop().time() - start
        assert 1.9 < waited < 4
        assert (failed["vif_type"], failed["status"], failed["host_id"]) == (
            "binding_failed",
            "DOWN",
            "compute-1",
        )
        await controller.answer(await controller.asked(created["id"]))
        healed = await eventually(api, f"ports/{created['id']}", vif_type="ovs", status="ACTIVE")
    assert healed["revision_number"] > failed["revision_number"]


async def test_a_refused_bind_fails_at_once(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.refusing = "no such bridge"
        created = await api.create("ports", **port())
        start = asyncio.get_running_loop().time()
        refused = await api.put(f"ports/{created['id']}", **BIND)
        assert asyncio.get_running_loop().time() - start < 1.5
    assert (refused["vif_type"], refused["status"]) == ("binding_failed", "DOWN")


async def test_the_same_host_again_answers_at_once_and_binds_nothing(api: Api) -> None:
    async with controller_on(api) as controller:
        created = await api.create("ports", **port())
        bound = await api.put(f"ports/{created['id']}", **BIND)
        assert await api.put(f"ports/{created['id']}", **BIND) == bound
        assert len({d["bind_id"] for d in controller.seen} - {None}) == 1


async def test_the_same_host_again_tries_a_failed_bind_anew(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.refusing = "not now"
        created = await api.create("ports", **port())
        await api.put(f"ports/{created['id']}", **BIND)
        controller.refusing = None
        assert (await api.put(f"ports/{created['id']}", **BIND))["vif_type"] == "ovs"


async def test_another_host_is_another_bind(api: Api) -> None:
    async with controller_on(api) as controller:
        created = await api.create("ports", **port())
        await api.put(f"ports/{created['id']}", **BIND)
        moved = await api.put(f"ports/{created['id']}", host_id="compute-2")
        assert (moved["host_id"], moved["vif_type"], moved["status"]) == ("compute-2", "ovs", "ACTIVE")
        assert len({d["bind_id"] for d in controller.seen} - {None}) == 2


@pytest.mark.parametrize("host", [None, ""])
async def test_taking_the_host_away_unbinds_at_once(api: Api, host: str | None) -> None:
    async with controller_on(api):
        created = await api.create("ports", **port())
        await api.put(f"ports/{created['id']}", **BIND)
        unbound = await api.put(f"ports/{created['id']}", host_id=host, device_id="", device_owner="")
    assert (unbound["vif_type"], unbound["vif_details"], unbound["status"]) == (None, None, "DOWN")
    assert not unbound["host_id"] and unbound["device_id"] is None


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"profile": '{"b": 2}'}, {"vif_details": "{}"}, {"vif_type": "vhostuser"}]
)
async def test_other_changes_leave_the_binding_alone(api: Api, change: dict[str, str]) -> None:
    async with controller_on(api) as controller:
        created = await api.create("ports", **port())
        bound = await api.put(f"ports/{created['id']}", **BIND)
        changed = await api.put(f"ports/{created['id']}", **change)
        server_kept = {"revision_number", "updated_at"}
        same = {n: v for n, v in changed.items() if n not in server_kept}
        assert same == {n: v for n, v in (bound | change).items() if n not in server_kept}
        await eventually(api, f"ports/{created['id']}", **change)
        assert len({d["bind_id"] for d in controller.seen} - {None}) == 1


async def test_status_is_the_clients_until_the_first_bind_and_the_servers_from_then_on(api: Api) -> None:
    async with controller_on(api):
        created = await api.create("ports", **port())
        assert (await api.put(f"ports/{created['id']}", status="DOWN"))["status"] == "DOWN"
        await api.put(f"ports/{created['id']}", **BIND)
        answer = await api.request("PUT", f"ports/{created['id']}", 422, json={"status": "DOWN"})
        assert answer.json()["errors"][0]["field"] == "status"
        await api.put(f"ports/{created['id']}", host_id=None)
        await api.request("PUT", f"ports/{created['id']}", 422, json={"status": "ACTIVE"})


async def test_a_request_whose_bind_is_overtaken_answers_with_what_is_there(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        created = await api.create("ports", **port())
        waiting = asyncio.create_task(api.put(f"ports/{created['id']}", **BIND))
        await eventually(api, f"ports/{created['id']}", host_id="compute-1")
        start = asyncio.get_running_loop().time()
        await api.put(f"ports/{created['id']}", host_id=None)
        assert (await waiting)["host_id"] is None
        assert asyncio.get_running_loop().time() - start < 1


async def test_a_port_that_is_deleted_takes_its_keys_with_it(api: Api) -> None:
    async with controller_on(api):
        created = await api.create("ports", **port())
        await api.put(f"ports/{created['id']}", **BIND)
    keys = [
        api.keys.object("net-l3vpn", "Port", created["id"]),
        api.keys.object("net-l3vpn", "Interface", created["id"]),
        api.keys.port(created["id"]),
        api.keys.answer("net-l3vpn", "Port", created["id"]),
    ]
    for key in keys:
        assert await api.etcd.get(key) is not None, key
    owner = await api.etcd.get(api.keys.port(created["id"]))
    assert owner is not None
    assert json.loads(owner.value) == {
        "tenant_id": TENANT,
        "service": "net-l3vpn",
        "url": api.server.public_url,
    }
    await api.delete(f"ports/{created['id']}")
    async with asyncio.timeout(10):
        for key in keys:
            while await api.etcd.get(key) is not None:
                await asyncio.sleep(0.05)


async def test_asking_again_for_a_bind_under_way_waits_for_the_same_answer(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        created = await api.create("ports", **port())
        first = asyncio.create_task(api.put(f"ports/{created['id']}", **BIND))
        under_way = await eventually(api, f"ports/{created['id']}", host_id="compute-1")
        second = asyncio.create_task(api.put(f"ports/{created['id']}", **under_way | {"name": "renamed"}))
        await eventually(api, f"ports/{created['id']}", name="renamed")
        await controller.answer(await controller.asked(created["id"]))
        assert (await first)["vif_type"] == (await second)["vif_type"] == "ovs"
        assert len({d["bind_id"] for d in controller.seen} - {None}) == 1


async def test_a_host_that_changes_without_a_device_unbinds(api: Api) -> None:
    async with controller_on(api):
        created = await api.create("ports", **port())
        await api.put(f"ports/{created['id']}", **BIND)
        kept = await api.put(f"ports/{created['id']}", device_id=None)
        assert (kept["vif_type"], kept["status"]) == ("ovs", "ACTIVE")
        moved = await api.put(f"ports/{created['id']}", host_id="compute-2")
    assert (moved["host_id"], moved["vif_type"], moved["status"]) == ("compute-2", None, "DOWN")


async def test_deleting_another_object_of_the_same_id_disturbs_no_bind(api: Api) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        created = await api.create("ports", **port())
        await api.create("vpns", tenant_id=TENANT, id=created["id"])
        waiting = asyncio.create_task(api.put(f"ports/{created['id']}", **BIND))
        await eventually(api, f"ports/{created['id']}", host_id="compute-1")
        await api.delete(f"vpns/{created['id']}")
        await controller.answer(await controller.asked(created["id"]))
        assert (await waiting)["vif_type"] == "ovs"


async def test_a_port_of_a_bulk_create_that_is_deleted_while_binding_takes_nothing_from_the_others(
    api: Api,
) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        bodies = {"ports": [port(id=first) | BIND, port(id=second) | BIND]}
        waiting = asyncio.create_task(api.request("POST", "ports", 201, json=bodies))
        bind = await controller.asked(second)
        await api.delete(f"ports/{first}")
        await controller.answer(bind)
        created = (await waiting).json()["ports"]
    assert [p["id"] for p in created] == [first, second]
    assert created[1]["vif_type"] == "ovs"


@pytest.mark.parametrize("change", [{"vif_type": "v" * 33}, {"vif_type": ""}, {"vif_details": "["}])
async def test_an_answer_that_makes_no_sense_is_none(api: Api, change: dict[str, str]) -> None:
    async with controller_on(api) as controller:
        controller.answering = False
        created = await api.create("ports", **port())
        waiting = asyncio.create_task(api.put(f"ports/{created['id']}", **BIND))
        await eventually(api, f"ports/{created['id']}", host_id="compute-1")
        bind = await controller.asked(created["id"])
        await controller.answer(bind, **change)
        # Under a key that is no port's, even the right bind_id is nobody's answer.
        elsewhere = api.keys.answer("net-l3vpn", "Interface", created["id"])
        await api.etcd.put(elsewhere, json.dumps({"vif_type": "ovs", "bind_id": bind["bind_id"]}).encode())
        assert (await waiting)["vif_type"] == "binding_failed"
        await controller.answer(bind)
        await eventually(api, f"ports/{created['id']}", vif_type="ovs", status="ACTIVE")


async def test_a_bind_that_was_under_way_when_the_server_was_killed_fails_after_the_restart(
    tmp_path: Path, database_url: str, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    path = "/proton/net-l3vpn/v1.0/ports"
    site = (tmp_path, etcd_server.url, etcd_prefix)
    async with serving(*site, bind_timeout=60.0, database_url=database_url) as api:
        api.hurry = True
        created = await api.create(path, **port())
        waiting = asyncio.create_task(api.put(f"{path}/{created['id']}", **BIND))
        await eventually(api, f"{path}/{created['id']}", host_id="compute-1")
        waiting.cancel()
    async with serving(*site, bind_timeout=0.5, database_url=database_url) as api:
        await eventually(api, f"{path}/{created['id']}", vif_type="binding_failed", status="DOWN")
