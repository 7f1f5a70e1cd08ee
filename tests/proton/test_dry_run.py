"""`?dry_run=true`: the answer that a write would have, and nothing changed by it."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proton.serving import TENANT, Api, port, serving
from proton.test_policy import ADMIN, MEMBER, OTHER_MEMBER, ByHeader
from servers.etcd import EtcdServer

PLURALS = ("vpns", "ports", "interfaces", "vpnbindings", "vpnafconfigs")
DEVICE = str(uuid.UUID(int=7))
BIND = {"host_id": "compute-1", "device_id": DEVICE}
MADE_UP = re.compile(r'"(created_at|updated_at|request_id)":"[^"]*"')


async def everything(api: Api) -> tuple[Any, ...]:
    """All objects, and all that etcd has of them, once the outbox is empty."""
    async with asyncio.timeout(10):
        while (await api.get("/healthcheck"))["checks"]["relay"]["depth"]:
            await asyncio.sleep(0.02)
    objects = [await api.get(plural) for plural in PLURALS]
    listing = await api.etcd.list(api.keys.objects())
    ports = await api.etcd.list(api.keys.ports())
    entries = [(i.key, i.value, i.mod_revision) for i in (*listing.items, *ports.items)]
    return *objects, entries


async def rehearsed(api: Api, method: str, path: str, **further: Any) -> httpx.Response:
    """The answer to a dry run, which must have left no trace."""
    before = await everything(api)
    answer = await api.request(method, path, **{**further, "params": {"dry_run": "true"}})
    assert await everything(api) == before
    return answer


async def rehearsed_and_done(api: Api, method: str, path: str, **further: Any) -> httpx.Response:
    """The real answer, which the dry run before it must have given as well."""
    dry = await rehearsed(api, method, path, **further)
    real = await api.request(method, path, **further)
    assert (dry.status_code, dry.headers.get("etag")) == (real.status_code, real.headers.get("etag"))
    assert dry.headers.get("location") == real.headers.get("location")
    assert MADE_UP.sub("", dry.text) == MADE_UP.sub("", real.text)
    return real


@pytest.fixture
async def vpn(api: Api) -> dict[str, Any]:
    return await api.create("vpns", id=str(uuid.UUID(int=1)), tenant_id=TENANT, name="blue")


async def test_a_create_tells_the_whole_object(api: Api) -> None:
    body = port(id=str(uuid.UUID(int=2)))
    created = await rehearsed_and_done(api, "POST", "ports", json=body)
    assert created.status_code == 201 and created.json()["revision_number"] == 1
    again = await rehearsed_and_done(api, "POST", "ports", json=body)
    assert again.status_code == 409
    wrong = await rehearsed_and_done(api, "POST", "ports", json={**port(), "mtu": "x", "vnic_typ": 1})
    assert wrong.status_code == 422 and len(wrong.json()["errors"]) > 1


async def test_a_create_makes_a_key_that_is_forgotten_again(api: Api) -> None:
    answer = await rehearsed(api, "POST", "vpns", json={"tenant_id": TENANT})
    key = answer.json()["id"]
    assert answer.status_code == 201 and answer.headers["location"].endswith(f"/vpns/{key}")
    await api.get(f"vpns/{key}", expect=404)
    assert (await api.create("vpns", id=key, tenant_id=TENANT))["revision_number"] == 1


async def test_objects_of_a_bulk_create_may_refer_to_each_other(api: Api, vpn: dict[str, Any]) -> None:
    keys = [str(uuid.UUID(int=n)) for n in (11, 12)]
    bodies = [port(id=key, name=key) for key in keys]
    created = await rehearsed_and_done(api, "POST", "ports", json={"ports": bodies})
    assert [p["id"] for p in created.json()["ports"]] == keys
    twice = await rehearsed_and_done(api, "POST", "ports", json={"ports": [port(id=DEVICE)] * 2})
    assert twice.status_code == 409


async def test_below_a_parent_it_is_the_same(api: Api) -> None:
    created = await api.create("ports", **port())
    path = f"ports/{created['id']}/interfaces"
    body = {"id": DEVICE, "tenant_id": TENANT, "segmentation_type": "vlan", "segmentation_id": 3}
    assert (await rehearsed_and_done(api, "POST", path, json=body)).status_code == 201
    assert (await rehearsed_and_done(api, "PUT", f"{path}/{DEVICE}", json={"name": "n"})).status_code == 200
    assert (await rehearsed_and_done(api, "DELETE", f"{path}/{DEVICE}")).status_code == 204
    missing = await rehearsed_and_done(api, "POST", f"ports/{DEVICE}/interfaces", json=body)
    assert missing.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_tells_the_revision_that_it_would_make(
    api: Api, vpn: dict[str, Any], method: str
) -> None:
    path = f"vpns/{vpn['id']}"
    for body, status, revision in (
        ({"name": "red"}, 200, 2),
        ({"name": "red"}, 200, 2),
        ({"name": "green"}, 200, 3),
        ({"id": DEVICE}, 422, None),
        ({"name": 1}, 422, None),
    ):
        answer = await rehearsed_and_done(api, method, path, json=body)
        assert answer.status_code == status and answer.json().get("revision_number") == revision
    assert (await rehearsed_and_done(api, method, f"vpns/{DEVICE}", json={"name": "x"})).status_code == 404


async def test_preconditions_count(api: Api, vpn: dict[str, Any]) -> None:
    path = f"vpns/{vpn['id']}"
    stale, current = {"If-Match": '"7"'}, {"If-Match": '"1"'}
    for method in ("PUT", "DELETE"):
        body = {"json": {"name": "red"}} if method == "PUT" else {}
        assert (await rehearsed(api, method, path, headers=stale, **body)).status_code == 412
        assert (await rehearsed(api, method, path, headers=current, **body)).status_code in (200, 204)


async def test_a_delete_names_what_is_in_the_way(api: Api, vpn: dict[str, Any]) -> None:
    created = await api.create("ports", **port())
    await api.create("vpnbindings", interface_id=created["id"], service_id=vpn["id"], tenant_id=TENANT)
    refused = await rehearsed_and_done(api, "DELETE", f"ports/{created['id']}")
    assert refused.status_code == 409 and refused.json()["referrers"]
    cascade = {"dry_run": "true", "cascade": "true"}
    before = await everything(api)
    assert (await api.request("DELETE", f"ports/{created['id']}", params=cascade)).status_code == 204
    assert await everything(api) == before


async def test_a_bind_is_not_begun(api: Api) -> None:
    created = await api.create("ports", **port())
    for method, path, body in (
        ("PUT", f"ports/{created['id']}", BIND),
        ("POST", "ports", port(id=DEVICE, **BIND)),
    ):
        began = time.monotonic()
        answer = (await rehearsed(api, method, path, json=body)).json()
        assert time.monotonic() - began < api.settings.bind_timeout
        assert (answer["status"], answer["vif_type"]) == ("DOWN", None)
        assert answer["host_id"] == "compute-1"
    assert (await api.get(f"ports/{created['id']}"))["status"] == "ACTIVE"


async def test_an_unbind_is_not_done(api: Api) -> None:
    bound = await api.create("ports", **port(**BIND))
    assert bound["vif_type"] == "binding_failed"
    answer = (await rehearsed(api, "PUT", f"ports/{bound['id']}", json={"host_id": None})).json()
    assert answer["vif_type"] is None and answer["revision_number"] == bound["revision_number"] + 1
    assert (await api.get(f"ports/{bound['id']}"))["vif_type"] == "binding_failed"


async def test_dry_runs_beside_writes_are_told_from_them(api: Api) -> None:
    def sent(n: int) -> Any:
        dry = "?dry_run=true" if n % 2 else ""
        return api.request("POST", f"vpns{dry}", 201, json={"tenant_id": TENANT, "name": f"{n:02}"})

    await asyncio.gather(*map(sent, range(60)))
    names = [v["name"] for v in (await api.get("vpns", sort_key="name"))["vpns"]]
    assert names == [f"{n:02}" for n in range(0, 60, 2)]


async def test_what_is_no_truth_value_is_refused_and_false_is_an_ordinary_write(
    api_on_sqlite: Api,
) -> None:
    body = {"tenant_id": TENANT}
    for wrong in ("?dry_run=maybe", "?dry_run=true&dry_run=false", "?dry_runs=true"):
        answer = await api_on_sqlite.request("POST", f"vpns{wrong}", 400, json=body)
        assert answer.json()["errors"][0]["field"].startswith("dry_run")
    assert (await api_on_sqlite.get("vpns"))["vpns"] == []
    await api_on_sqlite.request("POST", "vpns?dry_run=false", 201, json=body)
    (created,) = (await api_on_sqlite.get("vpns"))["vpns"]
    for path in ("vpns", f"vpns/{created['id']}"):
        await api_on_sqlite.request("GET", f"{path}?dry_run=true", 400)


@pytest.fixture
async def by_header(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, auth=ByHeader()) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def test_access_rules_hold(by_header: Api) -> None:
    async def status(method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
        sent = await by_header.request(method, f"{path}?dry_run=true", json=body, headers=headers)
        return sent.status_code

    created = (await by_header.request("POST", "vpns", 201, json={}, headers=MEMBER)).json()
    path = f"vpns/{created['id']}"
    assert await status("POST", "vpns", OTHER_MEMBER, {"tenant_id": TENANT}) == 403
    assert await status("PUT", path, OTHER_MEMBER, {"name": "x"}) == 404
    assert await status("DELETE", path, OTHER_MEMBER) == 404
    assert await status("DELETE", path, ADMIN) == 204
    assert await status("DELETE", path, MEMBER) == 204
