"""Resync of 10,000 ports: with nothing to do, and into an empty etcd; beside the same work done raw."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys

from .floors import etcd_batched_rate
from .http_load import Connection, Task, run
from .results import Figure, Results
from .stack import port_body, running_stack

PORTS = 10_000
BULK = 500
GLUON = str(Path(sys.executable).with_name("gluon"))
PATH = "/proton/net-l3vpn/v1.0/ports"


def create(first: int) -> Task:
    async def task(connection: Connection) -> None:
        bodies = [port_body(number) for number in range(first, first + BULK)]
        status, answer = await connection.request("POST", PATH, {"ports": bodies})
        assert status == 201, answer

    return task


async def measure(results: Results, folder: Path) -> None:
    with running_stack() as stack:
        await run(stack.proton, 4, [create(first) for first in range(0, PORTS, BULK)])
        config = stack.state_dir / "proton.conf"
        await sync("repair", config)
        raw = await read_raw(stack.etcd, stack.state_dir / "gluon.sqlite")
        steady, report = await sync("check", config)
        assert report["correct"] >= 3 * PORTS, report
        assert not report["created"], report
        batched = await etcd_batched_rate(stack.etcd)
        etcd = Etcd([stack.etcd])
        for prefix in (Keys().objects(), Keys().ports()):
            await etcd.delete_prefix(prefix)
        await etcd.close()
        cold, report = await sync("repair", config)
        assert report["created"] == 3 * PORTS, report
    results.add(
        Figure(
            f"resync of {PORTS} ports, nothing to do",
            steady,
            "s",
            raw,
            "etcd range, select, JSON decoded; in Python",
            "< 5 s",
            steady < 5,
        )
    )
    results.add(
        Figure(
            f"resync of {PORTS} ports into an empty etcd",
            cold,
            "s",
            raw + 3 * PORTS / batched,
            "the same, and puts in transactions of 127",
            "< 60 s",
            cold < 60,
        )
    )


async def sync(command: str, config: Path) -> tuple[float, dict[str, int]]:
    """Seconds that `gluon sync` takes, the start of its process included, and what it said."""
    words = [GLUON, "sync", command, "--format", "json", "--config-file", str(config)]
    start = time.perf_counter()
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return seconds, found


async def read_raw(endpoint: str, database: Path) -> float:
    """Seconds to read and decode all keys, and to read all rows, with nothing in between."""
    etcd = Etcd([endpoint])
    start = time.perf_counter()
    for prefix in (Keys().objects(), Keys().ports()):
        async for page in etcd.pages(prefix):
            for item in page.items:
                json.loads(item.value)
    connection = sqlite3.connect(database)
    tables = connection.execute(
        "select physical from gluon_names where service = 'net-l3vpn' and attribute = ''"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f'select * from "{table}"').fetchall()
    connection.close()
    seconds = time.perf_counter() - start
    await etcd.close()
    return seconds
