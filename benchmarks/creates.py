"""Creating ports over HTTP, beside the same rows committed by the bare driver."""

from __future__ import annotations

from pathlib import Path

from .floors import sqlite_port_rate
from .http_load import Connection, Task, percentile, run
from .results import Figure, Results
from .stack import port_body, running_stack

PORTS = 3000
CONNECTIONS = 32
PATH = "/proton/net-l3vpn/v1.0/ports"


def create(number: int) -> Task:
    async def task(connection: Connection) -> None:
        status, answer = await connection.request("POST", PATH, port_body(number))
        assert status == 201, answer

    return task


async def measure(results: Results, folder: Path) -> None:
    before = sqlite_port_rate(folder / "before")
    with running_stack() as stack:
        await run(stack.proton, CONNECTIONS, [create(number) for number in range(300)])
        wall, latencies = await run(stack.proton, CONNECTIONS, [create(n) for n in range(PORTS)])
        _, alone = await run(stack.proton, 1, [create(n) for n in range(300)])
    after = sqlite_port_rate(folder / "after")
    rate, floor = PORTS / wall, (before + after) / 2
    name = "the same rows, one commit a port, bare sqlite3"
    results.add(
        Figure(
            "create a port, 32 at a time",
            rate,
            "/s",
            floor,
            name,
            ">= 30 % of the floor",
            rate >= 0.3 * floor,
        )
    )
    results.add(Figure("create a port, 32 at a time, p50", percentile(latencies, 0.5) * 1e3, "ms"))
    results.add(Figure("create a port, 32 at a time, p99", percentile(latencies, 0.99) * 1e3, "ms"))
    results.add(Figure("create a port, alone, p50", percentile(alone, 0.5) * 1e3, "ms"))
