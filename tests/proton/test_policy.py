"""Access rules over HTTP, with callers told apart by a header instead of Keystone's tokens."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gluon.proton.identity import Identity, Unauthenticated
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer

MINE, OTHERS = "a868a466bca84df18404a77db0ecac72", "11111111222233334444555555555555"
MEMBER = {"X-Test-Tenant": MINE}
OTHER_MEMBER = {"X-Test-Tenant": OTHERS}
ADMIN = {"X-Test-Tenant": OTHERS, "X-Test-Roles": "admin"}


class ByHeader:
    """A strategy for this test alone: the caller is who its headers say."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        tenant = headers.get("x-test-tenant") or headers.get("X-TEST-TENANT")
        if tenant is None:
            raise Unauthenticated
        roles = headers.get("x-test-roles") or headers.get("X-TEST-ROLES") or "member"
        return Identity("someone", tenant, frozenset(roles.split(",")))


@pytest.fixture
async def api(
    tmp_path: Path, database_url: str, etcd_server: EtcdServer, etcd_prefix: str
) -> AsyncIterator[Api]:
    async with serving(
        tmp_path, etcd_server.url, etcd_prefix, auth=ByHeader(), database_url=database_url
    ) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def test_without_credentials_only_the_health_check_answers(api: Api) -> None:
    await api.request("GET", "vpns", 401)
    await api.request("GET", "/healthcheck", 200)


async def test_the_tenant_comes_from_the_caller(api: Api) -> None:
    created = (await api.request("POST", "vpns", 201, json={"name": "a"}, headers=MEMBER)).json()
    assert created["tenant_id"] == MINE
    await api.request("POST", "vpns", 403, json={"tenant_id": OTHERS}, headers=MEMBER)
    for_them = await api.request("POST", "vpns", 201, json={"tenant_id": MINE}, headers=ADMIN)
    assert for_them.json()["tenant_id"] == MINE


async def test_tenants_see_and_change_their_own_only(api: Api) -> None:
    dashed = str(uuid.UUID(MINE)).upper()
    created = (await api.request("POST", "vpns", 201, json={"tenant_id": dashed}, headers=ADMIN)).json()
    path = f"vpns/{created['id']}"
    await api.request("GET", path, 200, headers=MEMBER)
    await api.request("PUT", path, 200, json={"name": "mine"}, headers=MEMBER)
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        await api.request(method, path, 404, json=body, headers=OTHER_MEMBER)
    lists = {}
    for name, caller in (("mine", MEMBER), ("others", OTHER_MEMBER), ("admin", ADMIN)):
        lists[name] = len((await api.request("GET", "vpns", 200, headers=caller)).json()["vpns"])
    assert lists == {"mine": 1, "others": 0, "admin": 1}
    await api.request("DELETE", path, 204, headers=MEMBER)


async def test_only_an_administrator_gives_an_object_to_another_tenant(api: Api) -> None:
    created = (await api.request("POST", "vpns", 201, json={}, headers=MEMBER)).json()
    path = f"vpns/{created['id']}"
    await api.request("PUT", path, 422, json={"tenant_id": OTHERS}, headers=MEMBER)
    await api.request("PUT", path, 200, json={"tenant_id": OTHERS}, headers=ADMIN)
    await api.request("GET", path, 404, headers=MEMBER)


async def test_references_across_tenants_are_like_references_to_nothing(api: Api) -> None:
    vpn = (await api.request("POST", "vpns", 201, json={}, headers=OTHER_MEMBER)).json()
    body = {"mac_address": "c8:2a:14:04:43:80", "mtu": 1500, "admin_state_up": True, "status": "DOWN",
            "vlan_transparency": False, "vnic_type": "normal"}  # fmt: skip
    port = (await api.request("POST", "ports", 201, json=body, headers=MEMBER)).json()
    binding = {"interface_id": port["id"], "service_id": vpn["id"]}
    answer = await api.request("POST", "vpnbindings", 422, json=binding, headers=MEMBER)
    assert answer.json()["errors"] == [{"field": "service_id", "message": f"there is no vpn {vpn['id']}"}]
    own = {"tenant_id": TENANT, "segmentation_type": "vlan", "segmentation_id": 5}
    await api.request("POST", f"ports/{port['id']}/interfaces", 404, json=own, headers=OTHER_MEMBER)
