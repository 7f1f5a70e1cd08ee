"""A service's manager, installed as a package would install it: it fills in values, and refuses writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer

MANAGER = """
from gluon.proton.managers import Refused


class Manager:
    def before_create(self, identity, object_name, values):
        if object_name == "VpnService":
            values["description"] = f"made for {values['tenant_id']}"
        if values.get("name") == "forbidden":
            raise Refused({"name": "is not to be used"})

    def before_update(self, identity, object_name, stored, changes):
        if "name" in changes:
            changes["description"] = f"was {stored['name']}"
        if changes.get("name") == "forbidden":
            raise Refused({"name": "is not to be used"})

    def before_delete(self, identity, object_name, stored):
        if stored.get("name") == "kept":
            raise Refused({"name": "says that it stays"})
"""


@pytest.fixture
async def api(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    packages = tmp_path / "packages"
    (packages / "acme-1.0.dist-info").mkdir(parents=True)
    (packages / "acme-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n"
    )
    (packages / "acme-1.0.dist-info" / "entry_points.txt").write_text(
        "[gluon.managers]\nnet-l3vpn = acme_manager:Manager\ntest = acme_manager:Missing\n"
    )
    (packages / "acme_manager.py").write_text(MANAGER)
    monkeypatch.syspath_prepend(str(packages))
    async with serving(tmp_path, etcd_server.url, etcd_prefix) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def test_a_manager_fills_in_values_and_refuses_writes(api: Api) -> None:
    created = await api.create("vpns", tenant_id=TENANT, name="blue")
    assert created["description"] == f"made for {TENANT}"
    assert (await api.put(f"vpns/{created['id']}", name="red"))["description"] == "was blue"
    refused = {"field": "name", "message": "is not to be used"}
    answer = await api.request("POST", "vpns", 422, json={"tenant_id": TENANT, "name": "forbidden"})
    assert answer.json()["errors"] == [refused]
    bulk = {"vpns": [{"tenant_id": TENANT}, {"tenant_id": TENANT, "name": "forbidden"}]}
    answer = await api.request("POST", "vpns", 422, json=bulk)
    assert answer.json()["errors"] == [refused | {"field": "vpns[1].name"}]
    await api.request("PUT", f"vpns/{created['id']}", 422, json={"name": "forbidden"})
    assert [vpn["name"] for vpn in (await api.get("vpns"))["vpns"]] == ["red"]
    await api.put(f"vpns/{created['id']}", name="kept")
    await api.delete(f"vpns/{created['id']}", expect=422)
    assert (await api.get(f"vpns/{created['id']}"))["name"] == "kept"


async def test_a_dry_run_asks_the_manager(api: Api) -> None:
    vpn = await api.create("vpns", tenant_id=TENANT, name="blue")
    path = f"vpns/{vpn['id']}"
    refused = await api.request("PUT", f"{path}?dry_run=true", 422, json={"name": "forbidden"})
    assert refused.json()["errors"] == [{"field": "name", "message": "is not to be used"}]
    told = await api.request("PUT", f"{path}?dry_run=true", 200, json={"name": "red"})
    assert told.json()["description"] == "was blue"
    assert (await api.get(path))["name"] == "blue"


async def test_a_service_whose_manager_is_broken_is_not_served_without_it(api: Api) -> None:
    await api.get("/proton/test", expect=404)
    models = (await api.get("/healthcheck"))["checks"]["models"]
    assert models["status"] == "degraded"
    assert "Missing" in models["problems"]["test"][0]
