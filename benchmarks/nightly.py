"""100,000 ports (`BENCH_PORTS` says otherwise): memory of server and shim, lists, resync, a start of a shim.

Not among the scenarios that run by default: `make bench BENCH=nightly` takes some minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import psutil

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys

from .http_load import Connection, run
from .results import Figure, Results
from .resync import BULK, PATH, create, read_raw, sync
from .stack import Stack, running_stack

PORTS = int(os.environ.get("BENCH_PORTS", "100000"))
OBJECTS = 2 * PORTS
"""Each port has its default interface."""
SERVICE = "net-l3vpn"
SERVING = "serving "
_PATIENCE = 3600.0


async def measure(results: Results, folder: Path) -> None:
    with running_stack() as stack:
        before = {name: _memory(stack.pids[name]) for name in ("server", "shim")}
        wall, _ = await run(stack.proton, 2, [create(first) for first in range(0, PORTS, BULK)])
        results.add(Figure(f"create {PORTS:,} ports, {BULK} in a request", PORTS / wall, "/s"))
        start = time.perf_counter()
        await _settled(stack)
        results.add(Figure("until the shim has applied them all", time.perf_counter() - start, "s"))
        server = _memory(stack.pids["server"])
        results.add(Figure(f"server's memory with {PORTS:,} ports", server, "MB", before["server"], "empty"))
        shim = _memory(stack.pids["shim"])
        results.add(Figure(f"shim's memory with {PORTS:,} ports", shim, "MB", before["shim"], "empty"))
        await _lists(results, stack)
        await _resync(results, stack)
        await _shim_start(results, stack, before["shim"])


async def _lists(results: Results, stack: Stack) -> None:
    connection = await Connection.open(stack.proton)
    path, pages, found, first = f"{PATH}?limit=1000", 0, 0, 0.0
    start = time.perf_counter()
    while path:
        status, answer = await connection.request("GET", path)
        assert status == 200, answer
        page = json.loads(answer)
        found += len(page["ports"])
        pages += 1
        first = first or time.perf_counter() - start
        links = page.get("ports_links")
        path = links[0]["href"].removeprefix(stack.proton) if links else ""
    wall = time.perf_counter() - start
    assert found == PORTS, found
    connection.close()
    results.add(Figure(f"first 1,000 of {PORTS:,} ports", first * 1e3, "ms"))
    results.add(Figure(f"all {PORTS:,} ports in {pages} pages", wall, "s"))


async def _resync(results: Results, stack: Stack) -> None:
    config = stack.state_dir / "proton.conf"
    raw = await read_raw(stack.etcd, stack.state_dir / "gluon.sqlite")
    seconds, report = await sync("check", config)
    assert report["correct"] >= 3 * PORTS, report
    name = "etcd range, select, JSON decoded; in Python"
    results.add(Figure(f"resync of {PORTS:,} ports, nothing to do", seconds, "s", raw, name))


async def _shim_start(results: Results, stack: Stack, empty: float) -> None:
    """A start with nothing to do: from the process's beginning to where it serves, its imports included."""
    etcd, keys = Etcd([stack.etcd]), Keys()
    start = time.perf_counter()
    for prefix in (keys.objects(SERVICE), keys.statuses(SERVICE)):
        async for page in etcd.pages(prefix):
            for item in page.items:
                json.loads(item.value)
    floor = time.perf_counter() - start
    await etcd.close()
    before = {pid for _, pid in _serving(stack)}
    os.kill(stack.pids["shim"], signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    # The log is begun anew when it has grown long.
    while not (since := [(at, pid) for at, pid in _serving(stack) if pid not in before]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    at, pid = since[-1]
    process = psutil.Process(pid)
    seconds = at - process.create_time()
    name = "etcd range of objects and journal, JSON decoded"
    results.add(
        Figure(
            f"shim start on {PORTS:,} ports",
            seconds,
            "s",
            floor,
            name,
            "<= 2 x the floor",
            seconds <= 2 * floor,
        )
    )
    size = (_memory(pid) - empty) * 1e3 / OBJECTS
    results.add(
        Figure(
            "shim's memory for a stored object, after a start",
            size,
            "KB",
            reach="<= 2 KB",
            reached=size <= 2,
        )
    )


def _serving(stack: Stack) -> list[tuple[float, int]]:
    """When shims began to serve, in seconds of the epoch, and their processes."""
    lines = (stack.state_dir / "log" / "shim.log").read_text().splitlines()
    found = [line.split() for line in lines if f" {SERVICE}: {SERVING}" in line]
    return [
        (datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S,%f").timestamp(), int(pid))
        for day, clock, pid, *_ in found
    ]


async def _settled(stack: Stack) -> None:
    """Return when the shim's journal has every object as applied."""
    etcd, prefix = Etcd([stack.etcd]), Keys().statuses(SERVICE)
    deadline = time.monotonic() + _PATIENCE
    while True:
        applied = 0
        async for page in etcd.pages(prefix):
            applied += sum(b'"APPLIED"' in item.value[:40] for item in page.items)
        if applied >= OBJECTS:
            break
        assert time.monotonic() < deadline, f"{applied} of {OBJECTS} objects are applied"
        await asyncio.sleep(5)
    await etcd.close()


def _memory(pid: int) -> float:
    """Its resident memory in MB."""
    return float(psutil.Process(pid).memory_info().rss / 1e6)
