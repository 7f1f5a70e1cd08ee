"""Ports that are ACTIVE only when several controllers have applied them: `[controllers]`."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gluon.proton.controllers import ControllersByService, read_controllers
from gluon.proton.hosting import HostingError
from gluon.proton.options import load
from proton.controlling import controller_on
from proton.serving import Api, port, serving
from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer

BIND = {"host_id": "h1", "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}
BOTH = read_controllers({"net-l3vpn": ["ovn, gateway", "rr?"]})


@pytest.fixture
async def api(
    tmp_path: Path, database_url: str, etcd_server: EtcdServer, etcd_prefix: str
) -> AsyncIterator[Api]:
    async with one_server(tmp_path, etcd_server, etcd_prefix, database_url=database_url) as running:
        yield running


@asynccontextmanager
async def one_server(
    folder: Path,
    etcd_server: EtcdServer,
    prefix: str,
    controllers: ControllersByService = BOTH,
    **changes: Any,
) -> AsyncIterator[Api]:
    async with serving(folder, etcd_server.url, prefix, controllers=controllers, **changes) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def journal(
    api: Api, path: str, controller: str, state: str = "APPLIED", backend: str | None = None
) -> None:
    """What a controller writes of a port as it is in etcd by now."""
    port_id = path.partition("/")[2]
    item = await api.etcd.get(api.keys.object("net-l3vpn", "Port", port_id))
    assert item is not None
    applied = json.loads(item.value)
    entry = {"state": state, "reason": None, "revision_number": applied["revision_number"], "time": "t"}
    entry |= {"applied": applied, "backend": backend}
    key = api.keys.status("net-l3vpn", "Port", port_id, controller)
    await api.etcd.put(key, json.dumps(entry).encode())


async def applied_by_both(api: Api, path: str) -> None:
    for controller in ("ovn", "gateway"):
        await journal(api, path, controller)


async def eventually(api: Api, path: str, **expected: Any) -> dict[str, Any]:
    """The object once it has these values."""
    async with asyncio.timeout(15):
        while True:
            document = await api.get(path)
            if document | expected == document:
                return document
            await asyncio.sleep(0.05)


async def asked_for(api: Api, path: str) -> None:
    """Return when etcd has the bind of a port."""
    key = api.keys.object("net-l3vpn", "Port", path.partition("/")[2])
    async with asyncio.timeout(10):
        while True:
            item = await api.etcd.get(key)
            if item is not None and json.loads(item.value)["bind_id"]:
                return
            await asyncio.sleep(0.02)


async def new_port(api: Api) -> str:
    return f"ports/{(await api.create('ports', **port()))['id']}"


async def test_a_bind_waits_for_all_that_must_take_part(api: Api) -> None:
    path = await new_port(api)
    async with controller_on(api):
        waiting = asyncio.create_task(api.put(path, **BIND))
        await asked_for(api, path)
        await journal(api, path, "node-1", backend="net-l3vpn-ovn")
        await eventually(api, path, vif_type="ovs", status="DOWN")
        assert not waiting.done()
        await journal(api, path, "gateway")
        bound = await waiting
    assert (bound["vif_type"], bound["status"]) == ("ovs", "ACTIVE")


async def test_one_that_is_late_leaves_the_port_down_until_it_comes(api: Api) -> None:
    path = await new_port(api)
    async with controller_on(api):
        bound = await api.put(path, **BIND)
    assert (bound["vif_type"], bound["status"]) == ("ovs", "DOWN")
    found = (await api.get(f"{path}/status"))["status"]
    assert [(e["controller"], e["state"], e["required"]) for e in found] == [
        ("ovn", "PENDING", True),
        ("gateway", "PENDING", True),
    ]
    await journal(api, path, "node-1", backend="ovn")
    await journal(api, path, "rr")
    await journal(api, path, "gateway")
    await eventually(api, path, status="ACTIVE")
    found = (await api.get(f"{path}/status"))["status"]
    assert {e["controller"]: e["required"] for e in found} == {"gateway": True, "node-1": True, "rr": False}


async def test_what_was_applied_for_an_earlier_bind_does_not_count(api: Api) -> None:
    path = await new_port(api)
    async with controller_on(api):
        waiting = asyncio.create_task(api.put(path, **BIND))
        await asked_for(api, path)
        await applied_by_both(api, path)
        assert (await waiting)["status"] == "ACTIVE"
        moved = await api.put(path, host_id="h2")
        assert (moved["vif_type"], moved["status"]) == ("ovs", "DOWN")
        await applied_by_both(api, path)
        await eventually(api, path, status="ACTIVE")


async def test_one_that_fails_makes_the_port_down_until_it_recovers(api: Api) -> None:
    path = await new_port(api)
    async with controller_on(api):
        waiting = asyncio.create_task(api.put(path, **BIND))
        await asked_for(api, path)
        await applied_by_both(api, path)
        active = await waiting
    await journal(api, path, "gateway", "PENDING")
    await journal(api, path, "rr", "FAILED")
    await asyncio.sleep(1.5)
    assert await api.get(path) == active
    await journal(api, path, "gateway", "FAILED")
    await eventually(api, path, status="DOWN", vif_type="ovs")
    await journal(api, path, "gateway")
    await eventually(api, path, status="ACTIVE")


async def test_an_activated_binding_waits_for_them_as_well(api: Api) -> None:
    path = await new_port(api)
    async with controller_on(api):
        waiting = asyncio.create_task(api.put(path, **BIND))
        await asked_for(api, path)
        await applied_by_both(api, path)
        await waiting
        # An inactive one waits for who binds it alone.
        assert (await api.create(f"{path}/bindings", host="h2"))["vif_type"] == "ovs"
    await api.put(f"{path}/bindings/h2/activate")
    before = await api.get(path)
    assert (before["host_id"], before["status"]) == ("h2", "DOWN")
    async with asyncio.timeout(10):
        key = api.keys.object("net-l3vpn", "Port", path.partition("/")[2])
        while json.loads((await api.etcd.get(key)).value)["host_id"] != "h2":  # type: ignore[union-attr]
            await asyncio.sleep(0.02)
    await applied_by_both(api, path)
    await eventually(api, path, status="ACTIVE")


async def test_a_server_that_starts_later_finds_what_to_do(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with one_server(tmp_path, etcd_server, etcd_prefix) as api:
        paths = [await new_port(api) for _ in range(3)]
        async with controller_on(api):
            await asyncio.gather(*(api.put(path, **BIND) for path in paths))
    # Nobody serves; controllers go on.
    for controller in ("ovn", "gateway"):
        await journal(api, paths[0], controller)
    async with one_server(tmp_path, etcd_server, etcd_prefix) as api:
        await eventually(api, paths[0], status="ACTIVE")
        assert (await api.get(paths[1]))["status"] == "DOWN"
        await journal(api, paths[0], "gateway", "FAILED")
    async with one_server(tmp_path, etcd_server, etcd_prefix) as api:
        await eventually(api, paths[0], status="DOWN")
    # Who doesn't ask for controllers any more has none to wait for; etcd is told so.
    async with one_server(tmp_path, etcd_server, etcd_prefix, ControllersByService()) as api:
        for path in paths:
            await eventually(api, path, status="ACTIVE")
        await published(api, [])


async def published(api: Api, controllers: list[str]) -> None:
    """Return when the model in etcd names these."""
    async with asyncio.timeout(15):
        while True:
            item = await api.etcd.get(api.keys.model("net-l3vpn", "1.0"))
            if item is not None and json.loads(item.value)["controllers"] == controllers:
                return
            await asyncio.sleep(0.05)


async def test_whoever_waits_is_told_by_whichever_server_saw_it(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> None:
    with postgresql_server.fresh_database() as url:
        async with (
            one_server(tmp_path, etcd_server, etcd_prefix, database_url=url, bind_timeout=10.0) as api,
            one_server(tmp_path, etcd_server, etcd_prefix, database_url=url, bind_timeout=10.0) as other,
        ):
            paths = [await new_port(api) for _ in range(20)]
            async with controller_on(api):
                asked = [
                    asyncio.create_task((api if number % 2 else other).put(path, **BIND))
                    for number, path in enumerate(paths)
                ]
                for path in paths:
                    await asked_for(api, path)
                    for controller in ("ovn", "gateway"):
                        await journal(api, path, controller)
                bound = await asyncio.gather(*asked)
            assert {(b["vif_type"], b["status"]) for b in bound} == {("ovs", "ACTIVE")}
            # Created, bound, answered, and perhaps active later than that: nobody wrote anything twice.
            assert {b["revision_number"] for b in bound} <= {3, 4}


async def test_etcd_has_the_names_of_the_required_ones(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with one_server(tmp_path, etcd_server, etcd_prefix, ControllersByService()) as api:
        await published(api, [])
    async with one_server(tmp_path, etcd_server, etcd_prefix) as api:
        await published(api, ["ovn", "gateway"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net-l3pvn", "names 'net-l3pvn', which is no service; did you mean net-l3vpn?"),
        ("flat", "names 'flat', which has no ports"),
    ],
)
async def test_what_is_no_service_with_ports_is_named(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, name: str, said: str
) -> None:
    models = tmp_path / "models" / "flat"
    models.mkdir(parents=True)
    (models / "api.yaml").write_text(
        'file_version: "1.0"\ninfo: {name: flat, version: 1.0, description: d}\n'
        "objects:\n  Thing:\n    api: {name: thing}\n    attributes:\n      id: {type: uuid, primary: true}\n"
    )
    with pytest.raises(HostingError, match=said):
        async with one_server(
            tmp_path,
            etcd_server,
            etcd_prefix,
            read_controllers({name: ["ovn"]}),
            models_dir=models.parent,
        ):
            pass


def test_lines_are_read_and_mistakes_are_named(tmp_path: Path) -> None:
    config = tmp_path / "proton.conf"
    config.write_text("[controllers]\nnet-l3vpn = ovn , bgp ?\nietf-sfc=sfc?\n")
    _, settings = load(["--config-file", str(config)], "test")
    assert settings.controllers.required("net-l3vpn") == ("ovn",)
    assert settings.controllers.services["net-l3vpn"].optional == ("bgp",)
    assert settings.controllers.required("ietf-sfc") == settings.controllers.required("test") == ()
    for line, said in (
        ("net-l3vpn =", r"\[controllers\] net-l3vpn has an entry without a name"),
        ("net-l3vpn = ovn,,bgp", "has an entry without a name"),
        ("net-l3vpn = ovn, ovn?", r"\[controllers\] net-l3vpn names ovn twice"),
        ("net-l3vpn = ovn bgp", "'ovn bgp' is not the name of a backend or a shim"),
        ("net-l3vpn = ovn\nnet-l3vpn = bgp", "has net-l3vpn twice"),
    ):
        config.write_text(f"[controllers]\n{line}\n")
        with pytest.raises(ValueError, match=said):
            load(["--config-file", str(config)], "test")
