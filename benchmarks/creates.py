"""Creating ports over HTTP on each database, beside the same rows committed by its bare driver.

All of it runs on one machine: server, etcd, shim, database and clients. A shim works on every port that is
created, which takes CPU time that the server lacks where there are few cores; as a rule it has a machine of
its own. So creates are measured with the shim stopped, too.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from .databases import BenchDatabase, databases
from .floors import port_rate
from .http_load import Connection, Task, percentile, run
from .results import Figure, Results
from .stack import Stack, port_body, running_stack

PORTS = 2000
IN_FLIGHT = 32
BULK = 500
PATH = "/proton/net-l3vpn/v1.0/ports"


def create(number: int) -> Task:
    async def task(connection: Connection) -> None:
        status, answer = await connection.request("POST", PATH, port_body(number))
        assert status == 201, answer

    return task


def create_many(first: int) -> Task:
    async def task(connection: Connection) -> None:
        bodies = [port_body(number) for number in range(first, first + BULK)]
        status, answer = await connection.request("POST", PATH, {"ports": bodies})
        assert status == 201, answer
        assert len(json.loads(answer)["ports"]) == BULK

    return task


async def measure(results: Results, folder: Path) -> None:
    for database in databases(folder):
        before = await port_rate(database, IN_FLIGHT)
        found = await _rates(database)
        floor = (before + await port_rate(database, IN_FLIGHT)) / 2
        name = "the same rows, one commit a port, bare driver"
        for what, rate in found.items():
            results.add(
                Figure(
                    f"{database.name}: {what}",
                    rate,
                    "/s",
                    floor,
                    name,
                    ">= 50 % of the floor",
                    rate >= 0.5 * floor,
                )
            )


async def _rates(database: BenchDatabase) -> dict[str, float]:
    rates = {}
    for workers in (1,) if database.server is None else (1, 2):
        with database.arguments() as arguments, running_stack(*arguments, "--workers", str(workers)) as stack:
            await run(stack.proton, IN_FLIGHT, [create(number) for number in range(300)])
            wall, latencies = await run(stack.proton, IN_FLIGHT, [create(n) for n in range(PORTS)])
            label = "worker" if workers == 1 else "workers"
            p50, p99 = (percentile(latencies, share) * 1e3 for share in (0.5, 0.99))
            name = (
                f"create a port, {IN_FLIGHT} at a time (p50 {p50:.1f}, p99 {p99:.1f} ms), {workers} {label}"
            )
            rates[name] = PORTS / wall
            if workers == 1:
                wall = await _without_shim(stack)
                rates[f"create a port, {IN_FLIGHT} at a time, shim stopped"] = PORTS / wall
                wall, _ = await run(stack.proton, 2, [create_many(n) for n in range(0, 2 * PORTS, BULK)])
                rates[f"create ports, {BULK} in a request"] = 2 * PORTS / wall
    return rates


async def _without_shim(stack: Stack) -> float:
    os.kill(stack.pids["shim"], signal.SIGSTOP)
    try:
        wall, _ = await run(stack.proton, IN_FLIGHT, [create(n) for n in range(PORTS)])
    finally:
        os.kill(stack.pids["shim"], signal.SIGCONT)
    return wall
