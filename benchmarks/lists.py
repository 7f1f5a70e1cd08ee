"""A list of 1,000 ports over HTTP, beside one statement, dicts and JSON by the bare driver."""

from __future__ import annotations

from pathlib import Path

from .binds import PATH, create_ports
from .floors import sqlite_list_rate
from .http_load import Connection, percentile, run
from .results import Figure, Results
from .stack import running_stack


async def listing(connection: Connection) -> None:
    status, answer = await connection.request("GET", f"{PATH}?limit=1000")
    assert status == 200 and answer.count(b'"revision_number"') == 1000


async def measure(results: Results, folder: Path) -> None:
    floor = sqlite_list_rate(folder)
    with running_stack() as stack:
        await create_ports(stack.proton, 1000)
        await run(stack.proton, 1, [listing] * 5)
        wall, latencies = await run(stack.proton, 1, [listing] * 50)
    results.add(Figure("lists of 1,000 ports", 50 / wall, "/s", floor, "one select, dicts, json.dumps"))
    results.add(Figure("list of 1,000 ports, p50", percentile(latencies, 0.5) * 1e3, "ms"))
