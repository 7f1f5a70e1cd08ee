"""etcd loses its data, or goes back to older data: objects come back by themselves, and shims follow."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gluon.etcd.errors import HistoryLost
from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.stack import Stack, running

PORTS = 60
GLUON = Path(sys.executable).with_name("gluon")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, bind_timeout=2.0, lease_ttl=2) as stack:
        yield stack


async def is_at_rest(stack: Stack) -> None:
    """Database, etcd and shim agree, and health has nothing to say any more."""
    await agreed(stack)

    async def check() -> None:
        report = await stack.health()
        assert report["status"] == "ok", report

    await eventually(check)


async def agrees_by_command(folder: Path) -> None:
    command = [GLUON, "sync", "check", "--config-file", folder / "proton.conf"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done


async def restart_etcd(stack: Stack) -> None:
    stack.etcd_server.start()
    await stack.etcd_server.ready()
    with pytest.raises(HistoryLost):
        await stack.etcd.list("/")


async def fill(stack: Stack) -> list[str]:
    ports = await stack.create_ports(PORTS)
    for port_id in ports[:3]:
        await stack.bind(port_id, "compute-1")
    await is_at_rest(stack)
    return ports


async def test_wiped_while_all_is_running(stack: Stack) -> None:
    ports = await fill(stack)
    stack.etcd_server.kill()
    stack.etcd_server.wipe()
    await stack.request("DELETE", f"ports/{ports[-1]}", 204)
    await restart_etcd(stack)
    await stack.create_port("fresh")
    await is_at_rest(stack)
    assert (await stack.health())["checks"]["resync"]["runs"] == 1


async def test_wiped_while_the_server_was_stopped(stack: Stack) -> None:
    await fill(stack)
    assert stack.server.stop() == 0
    stack.etcd_server.kill()
    stack.etcd_server.wipe()
    await restart_etcd(stack)
    stack.server.start()
    await stack.server_ready()
    await is_at_rest(stack)
    assert (await stack.health())["checks"]["resync"]["runs"] == 1


async def test_older_data_restored(stack: Stack, tmp_path: Path) -> None:
    ports = await fill(stack)
    stack.etcd_server.stop()
    shutil.copytree(stack.etcd_server.data, tmp_path / "backup")
    stack.etcd_server.start()
    await stack.etcd_server.ready()
    await stack.request("PUT", f"ports/{ports[5]}", 200, {"mtu": 9000})
    await stack.request("DELETE", f"ports/{ports[6]}", 204)
    await stack.create_port("made after the backup")
    await is_at_rest(stack)
    stack.etcd_server.stop()
    stack.etcd_server.wipe()
    shutil.copytree(tmp_path / "backup", stack.etcd_server.data)
    await restart_etcd(stack)

    # Nothing is written meanwhile that would show it: the relay looks by itself.
    async def check() -> None:
        report = await stack.health()
        assert report["checks"]["resync"]["runs"] == 1, report
        assert report["status"] == "ok", report

    await eventually(check)
    # The shims delete nothing for a while after such a loss; etcd is right at once.
    await agrees_by_command(tmp_path)


async def test_the_leader_is_killed_in_the_middle(stack: Stack, tmp_path: Path) -> None:
    await stack.create_ports(1000)
    await agreed(stack, within=60)
    stack.etcd_server.kill()
    stack.etcd_server.wipe()
    await restart_etcd(stack)
    async with asyncio.timeout(30):
        while not 0 < len((await stack.etcd.list(stack.keys.objects())).items) < 1000:
            pass
    stack.server.kill()
    with closing(sqlite3.connect(tmp_path / "gluon.sqlite")) as connection:
        [(reason,)] = connection.execute("SELECT reason FROM gluon_etcd_memory WHERE debt IS NOT NULL")
    assert "wiped or restored" in reason
    stack.server.start()
    await stack.server_ready()
    await is_at_rest(stack)
    await agrees_by_command(tmp_path)
