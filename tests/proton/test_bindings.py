"""The bindings of a port over HTTP: made ready on other hosts, activated, deleted."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

from proton.controlling import DETAILS, controller_on
from proton.serving import Api, port, serving
from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer

BIND = {"host_id": "h1", "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}
NOBODY = {"vif_type": "binding_failed", "vif_details": None}


async def bound_port(api: Api, **changes: Any) -> str:
    """The path of a port that is bound on h1."""
    async with controller_on(api):
        created = await api.create("ports", **port(), **BIND | changes)
    assert created["vif_type"] == "ovs"
    return f"ports/{created['id']}"


async def moving_port(api: Api) -> str:
    """The path of a port that is bound on h1, and ready on h2."""
    path = await bound_port(api)
    async with controller_on(api):
        assert (await api.create(f"{path}/bindings", host="h2"))["vif_type"] == "ovs"
    return path


async def bindings(api: Api, path: str) -> dict[str, str]:
    """Status by host."""
    found = (await api.get(f"{path}/bindings"))["bindings"]
    return {binding["host"]: binding["status"] for binding in found}


async def in_etcd(api: Api, path: str, revision: int) -> dict[str, Any]:
    """The port as etcd has it, once it has that revision."""
    key = api.keys.object("net-l3vpn", "Port", path.partition("/")[2])
    async with asyncio.timeout(10):
        while True:
            item = await api.etcd.get(key)
            document = json.loads(item.value) if item is not None else {}
            if document.get("revision_number") == revision:
                return document
            await asyncio.sleep(0.02)


async def answers(api: Api, path: str) -> set[str]:
    """The keys of a port's answers, without what they all begin with."""
    prefix = api.keys.answer("net-l3vpn", "Port", path.partition("/")[2])
    return {item.key.removeprefix(prefix) for item in (await api.etcd.list(prefix)).items}


async def eventually(api: Api, path: str, **expected: Any) -> dict[str, Any]:
    """A document once it has these values."""
    async with asyncio.timeout(10):
        while True:
            document = await api.get(path)
            if document | expected == document:
                return document
            await asyncio.sleep(0.05)


async def test_a_bound_port_has_its_own_binding_and_others_that_are_made_ready(api: Api) -> None:
    path = await bound_port(api, profile='{"a": 1}')
    async with controller_on(api):
        answer = await api.request(
            "POST", f"{path}/bindings", 201, json={"host": "h2", "vnic_type": "normal", "profile": '{"b": 2}'}
        )
    active = {"host": "h1", "status": "ACTIVE", "profile": '{"a": 1}'}
    ready = {"host": "h2", "status": "INACTIVE", "profile": '{"b": 2}'}
    vif = {
        "vnic_type": "normal",
        "vif_type": "ovs",
        "vif_details": json.dumps(DETAILS, separators=(",", ":")),
    }
    assert answer.json() == ready | vif
    assert str(answer.headers["Location"]).endswith(f"/{path}/bindings/h2")
    stored = await api.get(path)
    assert answer.headers["ETag"] == f'"{stored["revision_number"]}"'
    assert (stored["host_id"], stored["status"], stored["profile"]) == ("h1", "ACTIVE", '{"a": 1}')
    assert await api.get(f"{path}/bindings") == {"bindings": [active | vif, ready | vif]}
    assert await api.get(f"{path}/bindings/h2") == ready | vif
    (binding,) = (await in_etcd(api, path, stored["revision_number"]))["bindings"]
    assert binding == {"host": "h2", "bind_id": binding["bind_id"], "profile": '{"b": 2}'} | {
        name: vif[name] for name in ("vif_type", "vif_details")
    }


async def test_activating_swaps_in_one_step_and_deleting_the_old_one_ends_the_move(api: Api) -> None:
    path = await moving_port(api)
    before = await in_etcd(api, path, (await api.get(path))["revision_number"])
    activated = await api.put(f"{path}/bindings/h2/activate")
    assert (activated["host"], activated["status"], activated["vif_type"]) == ("h2", "ACTIVE", "ovs")
    stored = await api.get(path)
    assert (stored["host_id"], stored["status"], stored["vif_type"]) == ("h2", "ACTIVE", "ovs")
    assert stored["revision_number"] == before["revision_number"] + 1
    after = await in_etcd(api, path, stored["revision_number"])
    assert after["bind_id"] == before["bindings"][0]["bind_id"]
    assert [(b["host"], b["bind_id"]) for b in after["bindings"]] == [("h1", before["bind_id"])]
    assert await bindings(api, path) == {"h2": "ACTIVE", "h1": "INACTIVE"}
    assert await answers(api, path) == {""}

    await api.delete(f"{path}/bindings/h1")
    assert await bindings(api, path) == {"h2": "ACTIVE"}
    assert await api.get(path) == stored | {
        "revision_number": stored["revision_number"] + 1,
        "updated_at": (await api.get(path))["updated_at"],
    }


async def test_a_move_that_failed_leaves_the_port_where_it_was(api: Api) -> None:
    path = await moving_port(api)
    assert await answers(api, path) == {"", "/h2"}
    await api.delete(f"{path}/bindings/h2")
    stored = await api.get(path)
    assert (stored["host_id"], stored["status"], stored["vif_type"]) == ("h1", "ACTIVE", "ovs")
    await in_etcd(api, path, stored["revision_number"])
    assert await answers(api, path) == {""}
    await api.delete(f"{path}/bindings/h2", expect=404)


async def test_a_binding_that_nobody_answers_fails_in_time_and_is_healed_by_a_late_answer(api: Api) -> None:
    path = await bound_port(api)
    async with controller_on(api) as controller:
        controller.answering = False
        failed = await api.create(f"{path}/bindings", host="h2")
        assert failed | NOBODY == failed
        refused = (await api.request("PUT", f"{path}/bindings/h2/activate", 409)).json()["detail"]
        assert refused == "the binding on host 'h2' can't be activated: no controller has bound it"
        await controller.answer(controller.seen[-1], "h2")
        await eventually(api, f"{path}/bindings/h2", vif_type="ovs")
    assert (await api.put(f"{path}/bindings/h2/activate"))["status"] == "ACTIVE"


async def test_a_refused_binding_fails_at_once_and_is_tried_again_when_asked_for(api: Api) -> None:
    path = await bound_port(api)
    async with controller_on(api) as controller:
        controller.refusing = "no room"
        failed = await api.create(f"{path}/bindings", host="h2")
        assert failed | NOBODY == failed
        assert (await api.get(path))["status"] == "ACTIVE"
        await api.put(f"{path}/bindings/h2/activate", expect=409)
        controller.refusing = None
        assert (await api.put(f"{path}/bindings/h2", host="h2"))["vif_type"] == "ovs"


async def test_what_a_binding_may_be(api: Api) -> None:
    path = await bound_port(api)
    wrong = await api.request(
        "POST", f"{path}/bindings", 422, json={"host_id": "h2", "profile": "{", "vnic_type": "direct"}
    )
    assert {error["field"] for error in wrong.json()["errors"]} == {"host", "host_id", "profile"}
    other = await api.request("POST", f"{path}/bindings", 422, json={"host": "h2", "vnic_type": "direct"})
    assert other.json()["errors"][0]["field"] == "vnic_type"
    await api.request("POST", f"{path}/bindings", 422, json={"host": "h" * 256})
    await api.request("POST", f"{path}/bindings", 422, json=[])
    await api.request("POST", f"{path}/bindings", 409, json={"host": "h1"})
    await api.get(f"{path}/bindings/h3", expect=404)
    await api.put(f"{path}/bindings/h3", expect=404, profile=None)
    await api.put(f"{path}/bindings/h1/activate", expect=409)
    await api.put(f"{path}/bindings/h3/activate", expect=404)
    await api.get(f"{path}/bindings", expect=400, host="h1")
    unbound = await api.create("ports", **port())
    await api.request("POST", f"ports/{unbound['id']}/bindings", 409, json={"host": "h2"})
    assert await api.get(f"ports/{unbound['id']}/bindings") == {"bindings": []}
    await api.get(f"interfaces/{unbound['id']}/bindings", expect=404)


async def test_hosts_may_be_called_anything(api: Api) -> None:
    path = await bound_port(api)
    async with controller_on(api):
        answer = await api.request("POST", f"{path}/bindings", 201, json={"host": "a/b ü"})
        assert answer.json()["vif_type"] == "ovs"
    assert str(answer.headers["Location"]).endswith("/bindings/a%2Fb%20%C3%BC")
    assert (await api.get(f"{path}/bindings/a%2Fb%20%C3%BC"))["host"] == "a/b ü"
    await api.request("PUT", f"{path}/bindings/a%2Fb%20%C3%BC/activate", 200)
    assert (await api.get(path))["host_id"] == "a/b ü"


async def test_a_port_has_so_many_bindings_and_no_more(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    path = await bound_port(api)
    async with controller_on(api):
        for number in range(16):
            await api.create(f"{path}/bindings", host=f"more-{number}")
        await api.request("POST", f"{path}/bindings", 409, json={"host": "one-more"})


async def test_the_same_host_twice_at_once_is_one_binding(api: Api) -> None:
    path = await bound_port(api)
    async with controller_on(api):
        both = await asyncio.gather(
            *[api.request("POST", f"{path}/bindings", json={"host": "h2"}) for _ in range(2)]
        )
    assert sorted(answer.status_code for answer in both) == [201, 409]
    assert await bindings(api, path) == {"h1": "ACTIVE", "h2": "INACTIVE"}


async def test_of_two_that_activate_and_delete_at_once_each_finds_a_whole_port(api: Api) -> None:
    path = await moving_port(api)
    async with controller_on(api):
        await api.create(f"{path}/bindings", host="h3")
    answers = await asyncio.gather(
        api.request("PUT", f"{path}/bindings/h2/activate"),
        api.request("PUT", f"{path}/bindings/h3/activate"),
        api.request("DELETE", f"{path}/bindings/h3"),
    )
    statuses = [answer.status_code for answer in answers]
    found = await bindings(api, path)
    stored = await api.get(path)
    assert statuses[0] == 200 and statuses[1] in (200, 404) and statuses[2] == 204
    assert list(found.values()).count("ACTIVE") == (1 if stored["host_id"] else 0)
    assert "h3" not in found and {"h1", "h2"} <= set(found)


async def test_who_unbinds_a_port_unbinds_all_of_it(api: Api) -> None:
    path = await moving_port(api)
    stored = await api.put(path, host_id=None)
    assert stored["vif_type"] is None
    assert await api.get(f"{path}/bindings") == {"bindings": []}
    assert (await in_etcd(api, path, stored["revision_number"]))["bindings"] == []
    assert await answers(api, path) == {""}


async def test_deleting_the_active_binding_leaves_the_others(api: Api) -> None:
    path = await moving_port(api)
    await api.delete(f"{path}/bindings/h1")
    stored = await api.get(path)
    assert (stored["host_id"], stored["status"], stored["vif_type"]) == (None, "DOWN", None)
    assert await bindings(api, path) == {"h2": "INACTIVE"}
    await api.put(f"{path}/bindings/h2/activate")
    assert ((await api.get(path))["status"], await bindings(api, path)) == ("ACTIVE", {"h2": "ACTIVE"})
    await api.put(path, host_id=None)
    assert await bindings(api, path) == {}


async def test_a_port_that_is_bound_elsewhere_keeps_its_inactive_bindings(api: Api) -> None:
    path = await moving_port(api)
    async with controller_on(api):
        assert (await api.put(path, host_id="h3"))["vif_type"] == "ovs"
        assert await bindings(api, path) == {"h3": "ACTIVE", "h2": "INACTIVE"}
        # On the host of an inactive one it gets a bind of its own, and that one ends.
        assert (await api.put(path, host_id="h2"))["vif_type"] == "ovs"
    assert await bindings(api, path) == {"h2": "ACTIVE"}


async def test_a_deleted_port_takes_all_of_it_along(api: Api) -> None:
    path = await moving_port(api)
    await api.delete(path)
    async with asyncio.timeout(10):
        while await answers(api, path):
            await asyncio.sleep(0.02)
    await api.get(f"{path}/bindings", expect=404)
    await api.create("ports", **port(id=path.partition("/")[2]))
    assert await bindings(api, path) == {}


async def test_if_match_and_dry_run_are_those_of_the_port(api: Api) -> None:
    path = await moving_port(api)
    revision = (await api.get(path))["revision_number"]
    old, now = {"If-Match": f'"{revision - 1}"'}, {"If-Match": f'"{revision}"'}
    url = f"{path}/bindings/h2"
    for method, target in (("PUT", f"{url}/activate"), ("DELETE", url), ("PUT", url)):
        await api.request(method, target, 412, headers=old, json={"profile": "{}"})
        dry = await api.request(
            method, target, headers=now, params={"dry_run": "true"}, json={"profile": "{}"}
        )
        assert dry.status_code in (200, 204), dry.text
    dry = await api.request("POST", f"{path}/bindings", 201, json={"host": "h3"}, params={"dry_run": "true"})
    assert (dry.json()["status"], dry.json()["vif_type"]) == ("INACTIVE", None)
    assert await bindings(api, path) == {"h1": "ACTIVE", "h2": "INACTIVE"}
    assert (await api.get(path))["revision_number"] == revision
    await api.request("GET", url, 304, headers={"If-None-Match": f'"{revision}"'})
    changed = await api.request("PUT", url, 200, headers=now, json={"profile": '{"c": 3}'})
    assert changed.headers["ETag"] == f'"{revision + 1}"'
    assert changed.json()["profile"] == '{"c": 3}'


async def test_whoever_waits_for_a_binding_that_is_deleted_is_told(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    path = await bound_port(api)
    waiting = asyncio.create_task(api.request("POST", f"{path}/bindings", json={"host": "h2"}))
    async with asyncio.timeout(5):
        while "h2" not in await bindings(api, path):
            await asyncio.sleep(0.02)
    began = asyncio.get_running_loop().time()
    await api.delete(f"{path}/bindings/h2")
    assert (await waiting).status_code == 404
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_any_server_takes_a_late_answer(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> None:
    with postgresql_server.fresh_database() as url:
        changes: dict[str, Any] = {"database_url": url, "bind_timeout": 0.2}
        async with serving(tmp_path, etcd_server.url, etcd_prefix, **changes) as second:
            async with serving(tmp_path, etcd_server.url, etcd_prefix, **changes) as first:
                for api in (first, second):
                    api.http.base_url = api.http.base_url.join("/proton/net-l3vpn/v1.0/")
                path = await bound_port(first)
                async with controller_on(first) as controller:
                    controller.answering = False
                    assert (await first.create(f"{path}/bindings", host="h2"))["vif_type"] != "ovs"
                    document = controller.seen[-1]
            async with controller_on(second) as controller:
                await controller.answer(document, "h2")
                await eventually(second, f"{path}/bindings/h2", vif_type="ovs")
