"""A shim server started anew over 100,000 objects that it has applied: how long, and in what memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.transaction import Op
from gluon.model.catalog import load_catalog
from gluon.shim.conformance.etcd import running_etcd

from .results import Figure, Results
from .stack import port_body

SHIM = str(Path(sys.executable).with_name("proton-shim-server"))
PORTS = int(os.environ.get("BENCH_RESTART_PORTS", "50000"))
"""Each has an interface: twice as many objects."""

_TOGETHER = 120
_AT_ONCE = 16
_DAY = "2026-11-22T00:00:00"
_PATIENCE = 600.0


def objects() -> Iterator[tuple[str, str, dict[str, object]]]:
    of_server = {"created_at": _DAY, "updated_at": _DAY, "revision_number": 1}
    unbound = dict.fromkeys(("host_id", "device_id", "bind_id", "profile", "vif_type", "vif_details"))
    for number in range(PORTS):
        key = str(uuid.uuid4())
        yield "Port", key, port_body(number) | of_server | unbound | {"id": key, "bindings": []}
        interface = {"id": key, "port_id": key, "segmentation_type": "none", "segmentation_id": 0}
        yield "Interface", key, interface | of_server


async def fill(etcd: Etcd, keys: Keys) -> None:
    """Objects and journal as a shim leaves them that has applied all."""
    model = load_catalog(None).newest("net-l3vpn")
    value = {"service": model.service, "version": model.version, "digest": model.digest}
    value |= {"model": model.document, "controllers": []}
    await etcd.put(keys.model(model.service, model.version), json.dumps(value).encode())
    batch: list[Op] = []
    batches: list[list[Op]] = []
    for name, key, document in objects():
        entry = {"state": "APPLIED", "reason": None, "revision_number": 1, "applied": document, "time": _DAY}
        batch.append(Op.put(keys.object(model.service, name, key), json.dumps(document).encode()))
        batch.append(Op.put(keys.status(model.service, name, key, "shim"), json.dumps(entry).encode()))
        if len(batch) >= _TOGETHER:
            batches.append(batch)
            batch = []
        if len(batches) >= _AT_ONCE:
            await asyncio.gather(*(etcd.transact([], one) for one in batches))
            batches = []
    await asyncio.gather(*(etcd.transact([], one) for one in (*batches, batch) if one))


async def read_all(etcd: Etcd, keys: Keys) -> float:
    """Seconds that it takes to read the same from etcd, and do nothing with it."""
    began = time.perf_counter()
    for prefix in (keys.objects("net-l3vpn"), keys.statuses("net-l3vpn")):
        async for _ in etcd.pages(prefix):
            pass
    return time.perf_counter() - began


@contextmanager
def shim_process(folder: Path, url: str, keys: Keys) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "proton-shim.conf"
    lines = ("[shim]", "name = shim", "handlers = *:dummy", "[etcd]", f"endpoints = {url}")
    config.write_text("\n".join([*lines, f"prefix = {keys.prefix}", ""]))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([SHIM, "--config-file", str(config)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def start_and_stop(folder: Path, url: str, etcd: Etcd, keys: Keys) -> tuple[float, int]:
    """Seconds until it serves, and its memory then, in bytes."""
    began = time.perf_counter()
    with shim_process(folder, url, keys) as process:
        while True:
            found = await etcd.get(keys.controller("shim"))
            if found is not None and json.loads(found.value).get("services"):
                return time.perf_counter() - began, psutil.Process(process.pid).memory_info().rss
            if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                raise RuntimeError(f"the shim did not come up; its log is in {folder}")
            await asyncio.sleep(0.02)


async def measure(results: Results, folder: Path) -> None:
    with running_etcd() as url:
        etcd, full, empty = Etcd([url]), Keys("/bench-full"), Keys("/bench-empty")
        model_key = empty.model("net-l3vpn", "1.0")
        await fill(etcd, full)
        for item in (await etcd.list(full.models())).items:
            await etcd.put(model_key, item.value)
        floor = await read_all(etcd, full)
        _, small = await start_and_stop(folder / "empty", url, etcd, empty)
        seconds, memory = await start_and_stop(folder / "full", url, etcd, full)
        await etcd.close()
    count = f"{2 * PORTS:,} objects"
    reading = "reading them from etcd"
    results.add(
        Figure(f"shim serves again with {count}", seconds, "s", floor, reading, "< 30 s", seconds < 30)
    )
    nothing = "a shim with none"
    size, bare = memory / 1e6, small / 1e6
    results.add(Figure(f"memory of a shim with {count}", size, "MB", bare, nothing, "< 500 MB", size < 500))
