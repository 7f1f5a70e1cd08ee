"""Requests as such: versions and links, revisions and entity tags, and what can't be read."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from proton.serving import TENANT, Api, port, serving
from servers.etcd import EtcdServer

VPN = {"tenant_id": TENANT, "name": "TestVPN"}


@pytest.fixture
def api(api_on_sqlite: Api) -> Api:
    """What is wrong with a request is found before any database is asked."""
    return api_on_sqlite


async def test_the_documents_lead_from_the_root_to_every_collection(api: Api) -> None:
    root = await api.get("/")
    assert {"name", "description", "default_version", "versions"} == set(root)
    protons = (await api.get("/proton"))["protons"]
    assert {p["proton_service"] for p in protons} == {"net-l3vpn", "ietf-sfc", "test"}
    for proton in protons:
        service = await api.get(proton["links"][0]["href"])
        default = service["default_version"]
        assert default == {
            "proton_service": proton["proton_service"],
            "version_id": "v1.0",
            "status": "CURRENT",
            "links": default["links"],
        }
        assert service["versions"] == [default]
        resources = (await api.get(default["links"][0]["href"]))["resources"]
        assert resources
        for resource in resources:
            collection = await api.get(resource["links"][0]["href"])
            assert collection == {resource["resource_name"]: []}


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/proton/nothing", "/proton/net-l3vpn/v9.9", "/proton/net-l3vpn/v1.0/things",
     "/proton/net-l3vpn/v1.0/vpns/not-a-uuid", "/proton/net-l3vpn/v1.0/vpns/a/b/c/d/e"],
)  # fmt: skip
async def test_what_is_not_there_is_a_404_problem(api: Api, path: str) -> None:
    answer = await api.request("GET", path, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


async def test_a_method_that_is_not_possible_is_a_405_problem(api: Api) -> None:
    answer = await api.request("DELETE", "vpns", 405)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"a": NaN}', 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"7", 422),
        (b"null", 422),
        (b'"vpns"', 422),
        (b'{"vpns": [7]}', 422),
        (b'{"vpns": [], "name": "x"}', 400),
        (b'{"vpns": {}}', 422),
    ],
)
async def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes, status: int) -> None:
    answer = await api.request("POST", "vpns", status, content=body)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_body_beyond_the_limit_is_413(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, max_body=2048) as api:
        body = VPN | {"description": "x" * 4096}
        await api.request("POST", "/proton/net-l3vpn/v1.0/vpns", 413, json=body)


async def test_a_body_in_another_media_type_is_refused(api: Api) -> None:
    await api.request("POST", "vpns", 400, content=b"name=x", headers={"Content-Type": "text/plain"})


async def test_if_match_guards_against_lost_updates(api: Api) -> None:
    answer = await api.request("POST", "vpns", 201, json=VPN)
    path, tag = f"vpns/{answer.json()['id']}", answer.headers["ETag"]
    assert tag == '"1"'
    changed = await api.request("PUT", path, 200, json={"name": "x"}, headers={"If-Match": tag})
    assert changed.headers["ETag"] == '"2"'
    for method in ("PUT", "DELETE"):
        stale = await api.request(
            method, path, 412, json={"name": "y"} if method == "PUT" else None, headers={"If-Match": tag}
        )
        assert "revision 2" in stale.json()["detail"]
    assert (await api.get(path))["name"] == "x"
    await api.request("PUT", path, 200, json={"name": "z"}, headers={"If-Match": '"9", "2"'})
    await api.request("PUT", path, 412, json={"name": "z"}, headers={"If-Match": 'W/"3"'})
    await api.request("DELETE", path, 204, headers={"If-Match": "*"})


async def test_if_none_match_spares_what_the_caller_has(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    path = f"vpns/{created['id']}"
    fresh = await api.request("GET", path, 304, headers={"If-None-Match": '"1"'})
    assert fresh.content == b"" and fresh.headers["ETag"] == '"1"'
    await api.request("GET", path, 304, headers={"If-None-Match": 'W/"1"'})
    await api.request("GET", path, 200, headers={"If-None-Match": '"7"'})
    await api.request("PUT", path, 412, json={"name": "x"}, headers={"If-None-Match": "*"})


async def test_head_is_get_without_the_content(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    answer = await api.request("HEAD", f"vpns/{created['id']}", 200)
    assert answer.content == b"" and answer.headers["ETag"] == '"1"'
    await api.request("HEAD", "vpns/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 404)


async def test_openapi_and_docs_are_served_for_each_version(api: Api) -> None:
    document = await api.get("openapi.json")
    assert document["openapi"].startswith("3.1")
    page = await api.request("GET", "docs", 200)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "vpnbinding" in page.text


async def test_health_says_what_is_served_and_how_the_parts_are(api: Api) -> None:
    async with asyncio.timeout(10):
        while (report := await api.get("/healthcheck"))["status"] != "ok":
            await asyncio.sleep(0.05)
    assert set(report["checks"]) == {"database", "etcd", "models", "relay", "resync", "answers"}
    assert set(report["checks"]["models"]["served"]) == {"net-l3vpn", "ietf-sfc", "test"}


async def test_object_status_is_the_controllers_journal(api: Api) -> None:
    created = await api.create("ports", **port())
    assert await api.get(f"ports/{created['id']}/status") == {"status": []}
    key = api.keys.status("net-l3vpn", "Port", created["id"], "ovn-1")
    journal = b'{"state":"FAILED","reason":"no bridge","revision_number":1,"applied":{},"time":"t"}'
    await api.etcd.put(key, journal)
    assert (await api.get(f"ports/{created['id']}/status"))["status"] == [
        {"controller": "ovn-1", "state": "FAILED", "reason": "no bridge", "revision_number": 1, "time": "t"}
    ]
    await api.get("ports/f81d4fae-7dec-11d0-a765-00a0c91e6bf6/status", expect=404)


@pytest.mark.parametrize(
    ("body", "repeated"),
    [
        ('{"name":"a","name":"b"}', ["name"]),
        ('{"name" :"a", "name": "a"}', ["name"]),
        ('{"name":"a","n\\u0061me":"b","description":"c"}', ["name"]),
        ('{"vpns":[{"name":"a"},{"name":"b","description":"c","description":"d"}]}', ["description"]),
        ('{"vpns":[],"vpns":[]}', ["vpns"]),
    ],
)
async def test_a_key_that_stands_twice_in_an_object_is_named(
    api: Api, body: str, repeated: list[str]
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.request("POST", "vpns", 400, content=body, headers=headers)
    assert [error["field"] for error in answer.json()["errors"]] == repeated
    assert (await api.get("vpns"))["vpns"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"name": 'a":"name":"b', "description": '{"a":1,"a":2}'},
        {"name": ":a", "description": " : "},
        {"vpns": [{"name": "a"}, {"name": "b"}]},
    ],
)
async def test_what_only_looks_like_a_repeated_key_is_taken(api: Api, body: dict[str, Any]) -> None:
    bodies = body.get("vpns", [body])
    whole = {"vpns": [{"tenant_id": TENANT} | one for one in bodies]}
    answer = await api.request("POST", "vpns", 201, json=whole)
    assert [vpn["name"] for vpn in answer.json()["vpns"]] == [one["name"] for one in bodies]


@pytest.mark.parametrize("header", ["X-Openstack-Request-Id", "X-Request-Id"])
async def test_a_request_id_that_came_along_is_kept(api: Api, header: str) -> None:
    mine = f"req-{uuid.uuid4()}"
    for status, path in ((200, "vpns"), (404, "nothing")):
        answer = await api.request("GET", path, status, headers={header: mine})
        assert answer.headers["x-openstack-request-id"] == mine
        assert status == 200 or answer.json()["request_id"] == mine


@pytest.mark.parametrize(
    "brought", ["", "req-", "mine", "req-65179b2a-0808-4db7-954d-8f3c412cf1c1x", "req-" + "A" * 36]
)
async def test_what_has_not_the_form_of_a_request_id_is_replaced(api: Api, brought: str) -> None:
    answer = await api.request("GET", "vpns", 200, headers={"X-Openstack-Request-Id": brought})
    assert re.fullmatch(r"req-[0-9a-f-]{36}", answer.headers["x-openstack-request-id"])
    assert answer.headers["x-openstack-request-id"] != brought
