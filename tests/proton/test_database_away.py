"""A database that is away: 503 with Retry-After, nothing half-written, health says so, and it recovers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gluon.store.database import DatabaseOptions, DatabaseUnavailable
from proton.serving import TENANT, port, serving
from servers.etcd import EtcdServer, free_ports
from servers.postgresql import PostgresqlServer

PORTS = "/proton/net-l3vpn/v1.0/ports"
PROFILE = '{"once":"more"}'


@pytest.fixture
def own_postgresql(tmp_path: Path) -> Iterator[PostgresqlServer]:
    """A PostgreSQL of the test's own, with an empty database `gluon`."""
    server = PostgresqlServer(tmp_path / "postgresql")
    try:
        server.start()
        server.wait_ready()
        server.query("CREATE DATABASE gluon")
        yield server
    finally:
        server.kill()


async def test_requests_are_answered_with_503_while_the_database_is_away(
    tmp_path: Path, own_postgresql: PostgresqlServer, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    options = DatabaseOptions(pool_timeout=3.0)
    site = (tmp_path, etcd_server.url, etcd_prefix)
    async with serving(*site, database_url=own_postgresql.url("gluon"), database=options) as api:
        created = await api.create(PORTS, **port())
        await asyncio.to_thread(own_postgresql.kill)

        for method, path, body in (
            ("POST", PORTS, port()),
            ("PUT", f"{PORTS}/{created['id']}", {"name": "meanwhile"}),
            ("GET", PORTS, None),
        ):
            answer = await api.request(method, path, 503, json=body)
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert "nothing was changed" in answer.json()["detail"]
        health = (await api.request("GET", "/healthcheck", 503)).json()
        assert health["checks"]["database"]["status"] == "failing"
        assert "can't be reached" in str(health["checks"]["database"])

        await asyncio.to_thread(own_postgresql.start)
        await asyncio.to_thread(own_postgresql.wait_ready)
        ports = (await api.get(PORTS))["ports"]
        assert [found["id"] for found in ports] == [created["id"]]
        assert ports[0]["name"] == created["name"]
        another = await api.create(PORTS, **port())
        async with asyncio.timeout(15):
            while await api.etcd.get(api.keys.object("net-l3vpn", "Port", another["id"])) is None:
                await asyncio.sleep(0.05)
        assert (await api.get("/healthcheck"))["checks"]["database"]["status"] == "ok"


async def test_a_write_that_is_done_is_not_said_to_have_failed_since_the_rest_of_its_bind_can_not_be_read(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind = {"host_id": "compute-1", "device_id": str(uuid.uuid4())}

    async def gone(work: object) -> None:
        raise DatabaseUnavailable("it has just gone away")

    async with serving(tmp_path, etcd_server.url, etcd_prefix, bind_timeout=5.0) as api:
        created = await api.create(PORTS, **port())
        item = f"{PORTS}/{created['id']}"
        first = asyncio.create_task(api.put(item, **bind))
        while (await api.get(item))["host_id"] is None:
            await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(api.server._database, "read", gone)
            answer = await api.put(item, **bind, name="renamed while it is bound")
        assert (answer["name"], answer["vif_type"]) == ("renamed while it is bound", "binding_failed")
        await first


async def test_a_binding_that_is_made_is_not_said_to_have_failed_since_it_can_not_be_read_again(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(work: object) -> None:
        raise DatabaseUnavailable("it has just gone away")

    async with serving(tmp_path, etcd_server.url, etcd_prefix, bind_timeout=0.2) as api:
        bind = {"host_id": "compute-1", "device_id": str(uuid.uuid4())}
        created = await api.create(PORTS, **port(), **bind)
        path = f"{PORTS}/{created['id']}/bindings"
        with monkeypatch.context() as patch:
            patch.setattr(api.server._database, "read", gone)
            added = await api.create(path, host="compute-2")
            inactive = await api.put(f"{path}/compute-2", host="compute-2", profile=PROFILE)
            active = await api.put(f"{path}/compute-1", host="compute-1")
        for binding in (added, inactive, active):
            assert binding["vif_type"] == "binding_failed"
        assert inactive["profile"] == PROFILE
        known = {binding["host"]: binding for binding in (await api.get(path))["bindings"]}
        assert known == {"compute-1": active, "compute-2": inactive}


async def test_writes_of_many_clients_while_the_database_restarts_are_done_or_not_and_said_so(
    tmp_path: Path, own_postgresql: PostgresqlServer, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    site = (tmp_path, etcd_server.url, etcd_prefix)
    path = "/proton/net-l3vpn/v1.0/vpns"
    acknowledged: set[str] = set()
    refused = 0
    over = asyncio.Event()
    async with serving(*site, database_url=own_postgresql.url("gluon")) as api:

        async def client() -> None:
            nonlocal refused
            while not over.is_set():
                answer = await api.request("POST", path, json={"tenant_id": TENANT})
                if answer.status_code == 201:
                    acknowledged.add(answer.json()["id"])
                else:
                    assert answer.status_code == 503, answer.text
                    refused += 1
                    # Not more than a few of these.
                    await asyncio.sleep(0.05)

        clients = [asyncio.create_task(client()) for _ in range(8)]
        for again in (own_postgresql.stop, own_postgresql.kill):
            before = len(acknowledged)
            async with asyncio.timeout(20):
                while len(acknowledged) < before + 20:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(again)
            await asyncio.to_thread(own_postgresql.start)
            await asyncio.to_thread(own_postgresql.wait_ready)
        before = len(acknowledged)
        async with asyncio.timeout(20):
            while len(acknowledged) < before + 20:
                await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*clients)

        stored = {vpn["id"] for vpn in (await api.get(path, limit=1000))["vpns"]}
    assert len(stored) < 1000
    assert stored == acknowledged
    assert refused


def test_a_server_without_its_database_ends_with_one_line(tmp_path: Path, etcd_server: EtcdServer) -> None:
    (gone,) = free_ports(1)
    config = tmp_path / "proton.conf"
    config.write_text(
        f"[api]\nport = 0\netcd_port = {etcd_server.port}\n"
        f"[database]\nconnection = postgresql://gluon:secret@127.0.0.1:{gone}/gluon\npool_timeout = 0.5\n"
    )

    ended = subprocess.run(
        [Path(sys.executable).with_name("proton-server"), "--config-file", config],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"proton-server: postgresql://gluon:***@127.0.0.1:{gone}/gluon can't be reached")
    assert "Traceback" not in ended.stderr
