"""What controllers made of objects, and which controllers there are, as the command line tells it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from client.runner import Command
from client.serving import ServerProcess
from gluon.client.sdk import Client
from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from servers.etcd import EtcdServer

TENANT = "a868a466bca84df18404a77db0ecac72"
JOURNAL = {
    "state": "FAILED",
    "reason": "no such bridge",
    "revision_number": 1,
    "applied": {},
    "time": "2026-11-22T04:00:00.000Z",
}
SHOWN = {"controller": "lab-1"} | {name: value for name, value in JOURNAL.items() if name != "applied"}


@pytest.fixture
def server(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "server", urlsplit(etcd_server.url).port or 0, etcd_prefix)
    process.start()
    yield process
    process.kill()


async def test_status_and_controllers(server: ServerProcess, etcd: Etcd, etcd_prefix: str) -> None:
    keys, l3vpn = Keys(etcd_prefix), Command(server.url, "net-l3vpn")
    vpn = await asyncio.to_thread(l3vpn.json, "vpn-create", "--name", "blue", "--tenant_id", TENANT)
    assert await asyncio.to_thread(l3vpn.json, "vpn-status", vpn["id"]) == {"status": []}
    key = keys.status("net-l3vpn", "VpnService", vpn["id"], "lab-1")
    await etcd.put(key, json.dumps(JOURNAL).encode())

    assert await asyncio.to_thread(l3vpn.json, "vpn-status", vpn["id"]) == {"status": [SHOWN]}
    assert await asyncio.to_thread(l3vpn.out, "vpn-status", vpn["id"], "-f", "value", "-c", "state") == (
        "FAILED\n"
    )
    assert await asyncio.to_thread(l3vpn.json, "vpn-show", vpn["id"]) == vpn
    table = await asyncio.to_thread(l3vpn.out, "vpn-show", vpn["id"], "-f", "table")
    assert vpn["id"] in table and "lab-1" in table and "no such bridge" in table
    assert "lab-1" not in await asyncio.to_thread(
        l3vpn.out, "vpn-show", vpn["id"], "-f", "table", "-c", "name"
    )
    assert "no attribute" in await asyncio.to_thread(l3vpn.error, "vpn-status", vpn["id"], "-c", "name")
    assert await asyncio.to_thread(l3vpn.error, "vpn-status", "nowhere")

    says = {"hosts": ["*"], "handlers": {"net-l3vpn": "lab"}, "host": "node-1", "version": "0.3.0"}
    await etcd.put(keys.controller("lab-1"), json.dumps(says).encode())
    listed = await asyncio.to_thread(Command(server.url).json, "controller-list")
    assert [(c["name"], c["services"], c["alive"]) for c in listed["controllers"]] == [
        ("lab-1", {"net-l3vpn": "lab"}, True)
    ]
    assert await asyncio.to_thread(l3vpn.json, "controller-list") == listed
    with Client(server.url) as client:
        assert list(await asyncio.to_thread(client.controllers)) == listed["controllers"]


def test_an_object_is_shown_whether_its_status_can_be_or_not(
    tmp_path: Path, own_etcd_server: EtcdServer
) -> None:
    process = ServerProcess(tmp_path / "server", urlsplit(own_etcd_server.url).port or 0, "")
    process.start()
    try:
        l3vpn = Command(process.url, "net-l3vpn")
        vpn = l3vpn.json("vpn-create", "--name", "blue", "--tenant_id", TENANT)
        own_etcd_server.kill()
        result = l3vpn.run("vpn-show", vpn["id"], "-f", "table")
        assert result.exit_code == 0
        assert vpn["id"] in result.stdout
        assert result.stderr.startswith("protonclient: no status: ") and result.stderr.count("\n") == 1
    finally:
        process.kill()
