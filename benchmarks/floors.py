"""Raw floors: the same work by the bare driver, with nothing of Gluon in between."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid

from gluon.etcd.client import Etcd
from gluon.etcd.transaction import Op

from .databases import BenchDatabase
from .http_load import percentile
from .stack import port_body


async def port_rate(database: BenchDatabase, in_flight: int, count: int = 1000) -> float:
    """Ports a second, one commit each, by the bare driver; SQLite writes one at a time by its nature."""
    with database.empty() as url:
        bare = await database.bare(url)
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                await bare.insert_port(number)

        start = time.perf_counter()
        await asyncio.gather(*[work() for _ in range(in_flight)])
        rate = count / (time.perf_counter() - start)
        await bare.close()
    return rate


async def list_rate(database: BenchDatabase, rows: int = 1000, rounds: int = 30) -> float:
    """Reads of a list of that many ports a second: one statement, dicts, JSON text."""
    with database.empty() as url:
        bare = await database.bare(url)
        for number in range(rows):
            await bare.insert_port(number)
        start = time.perf_counter()
        for _ in range(rounds):
            json.dumps({"ports": await bare.list_ports()})
        rate = rounds / (time.perf_counter() - start)
        await bare.close()
    return rate


async def etcd_put_latency(endpoint: str, count: int = 500) -> tuple[float, float]:
    """From the start of a bare put to its event at a watcher: p50 and p99 in seconds."""
    etcd = Etcd([endpoint])
    prefix = f"/floor/{uuid.uuid4()}/"
    seen: dict[str, asyncio.Future[float]] = {}
    start_revision = (await etcd.list(prefix)).revision + 1

    async def watch() -> None:
        async for batch in etcd.watch(prefix, start_revision):
            for event in batch.events:
                seen[event.key].set_result(time.perf_counter())

    watcher = asyncio.create_task(watch())
    latencies = []
    value = json.dumps(port_body(1)).encode()
    for number in range(count):
        key = f"{prefix}{number}"
        seen[key] = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        await etcd.put(key, value)
        latencies.append(await asyncio.wait_for(seen[key], 10) - start)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await etcd.delete_prefix(prefix)
    await etcd.close()
    return percentile(latencies, 0.5), percentile(latencies, 0.99)


async def etcd_batched_rate(endpoint: str, count: int = 20_000) -> float:
    """Keys a second, put in transactions of 127 by the bare client, one after another."""
    etcd = Etcd([endpoint])
    prefix = f"/floor/{uuid.uuid4()}/"
    value = json.dumps(port_body(1)).encode()
    start = time.perf_counter()
    for first in range(0, count, 127):
        numbers = range(first, min(first + 127, count))
        await etcd.transact([], [Op.put(f"{prefix}{number}", value) for number in numbers])
    rate = count / (time.perf_counter() - start)
    await etcd.delete_prefix(prefix)
    await etcd.close()
    return rate


async def bind_by_hand(endpoint: str, database: BenchDatabase, in_flight: int, count: int) -> list[float]:
    """A bind's steps done by hand, one commit and one put each; the latency of each, in seconds.

    Commit the port and its outbox row, put its key; another process sees it and puts the answer; a watch
    sees that, and the port is committed again.
    """
    etcd = Etcd([endpoint])
    run = str(uuid.uuid4())
    answers = f"/floor-answers/{run}/"
    shim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.hand_shim", endpoint, run, stdout=asyncio.subprocess.PIPE
    )
    assert shim.stdout is not None
    await shim.stdout.readline()
    waits: dict[str, asyncio.Future[None]] = {}
    start_revision = (await etcd.list(answers)).revision + 1

    async def watch() -> None:
        async for batch in etcd.watch(answers, start_revision):
            for event in batch.events:
                waits[event.key].set_result(None)

    watcher = asyncio.create_task(watch())
    value = json.dumps(port_body(1)).encode()
    latencies = []
    with database.empty() as url:
        bare = await database.bare(url)
        waiting = iter([await bare.insert_port(number) for number in range(count)])

        async def work() -> None:
            for port_id in waiting:
                start = time.perf_counter()
                waits[answers + port_id] = asyncio.get_running_loop().create_future()
                await bare.change_port(port_id, "DOWN", value)
                await etcd.put(f"/floor-ports/{run}/{port_id}", value)
                await asyncio.wait_for(waits[answers + port_id], 30)
                await bare.change_port(port_id, "ACTIVE", value)
                latencies.append(time.perf_counter() - start)

        await asyncio.gather(*[work() for _ in range(in_flight)])
        await bare.close()
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    shim.terminate()
    await shim.wait()
    await etcd.close()
    return latencies
