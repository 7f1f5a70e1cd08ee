"""Which services a server hosts: from files at their first start, from the database ever after."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from gluon.model.catalog import bundled_models_dir
from gluon.proton.hosting import HostingError
from proton.serving import TENANT, serving
from servers.etcd import EtcdServer


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with a service of its own, a copy of net-l3vpn."""
    folder = tmp_path / "models"
    shutil.copytree(bundled_models_dir() / "net-l3vpn", folder / "acme-vpn")
    for path in (folder / "acme-vpn").glob("*.yaml"):
        path.write_text(path.read_text().replace("name: net-l3vpn", "name: acme-vpn"))
    return folder


def edit(models: Path, old: str, new: str) -> None:
    (path,) = (models / "acme-vpn").glob("*.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


async def test_a_service_of_the_models_folder_is_served_beside_the_bundled_ones_and_published(
    tmp_path: Path, database_url: str, models: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    given = {"models_dir": models, "database_url": database_url}
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **given) as api:
        services = {p["proton_service"] for p in (await api.get("/proton"))["protons"]}
        assert services == {"acme-vpn", "net-l3vpn", "ietf-sfc", "test"}
        digest = (await api.get("/healthcheck"))["checks"]["models"]["served"]["acme-vpn"]["1.0"]
        # What is in the outbox when a server stops is there for the next one.
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **given) as api:
        async with asyncio.timeout(10):
            while (published := await api.etcd.get(api.keys.model("acme-vpn", "1.0"))) is None:
                await asyncio.sleep(0.05)
        value = json.loads(published.value)
        assert (value["service"], value["version"], value["digest"]) == ("acme-vpn", "1.0", digest)
        assert value["model"]["objects"]["VpnService"]["extends"] == "BaseService"


async def test_a_changed_or_missing_file_leaves_the_service_as_the_database_has_it(
    tmp_path: Path, database_url: str, models: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    given = {"models_dir": models, "database_url": database_url}
    path = "/proton/acme-vpn/v1.0/vpns"
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **given) as api:
        created = await api.create(path, tenant_id=TENANT, name="blue")
    edit(models, "plural_name: vpns", "plural_name: networks")
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **given) as api:
        assert await api.get(f"{path}/{created['id']}") == created
        report = (await api.get("/healthcheck"))["checks"]["models"]
        assert report["status"] == "degraded"
        assert "the database was made for" in report["problems"]["acme-vpn"][0]
    async with serving(tmp_path, etcd_server.url, etcd_prefix, database_url=database_url) as api:
        assert await api.get(f"{path}/{created['id']}") == created


async def test_a_broken_model_stops_neither_the_server_nor_the_other_services(
    tmp_path: Path, models: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    edit(models, "extends: BaseService\n", "extends: BaseServise\n")
    async with serving(tmp_path, etcd_server.url, etcd_prefix, models_dir=models) as api:
        await api.get("/proton/acme-vpn", expect=404)
        await api.get("/proton/net-l3vpn")
        (problem, *_) = (await api.get("/healthcheck"))["checks"]["models"]["problems"]["acme-vpn"]
        assert "BaseService" in problem and ".yaml:" in problem


async def test_only_the_services_of_the_list_are_hosted(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, services=("test",)) as api:
        assert [p["proton_service"] for p in (await api.get("/proton"))["protons"]] == ["test"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"services": ("net-l3vnp",)}, "did you mean net-l3vpn"),
        ({"models_dir": Path("/nowhere/at/all")}, "/nowhere/at/all"),
    ],
)
async def test_what_can_not_be_hosted_is_refused_at_the_start(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(HostingError, match=words):
        async with serving(tmp_path, etcd_server.url, etcd_prefix, **changes):
            pass
