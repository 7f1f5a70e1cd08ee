"""Lists of 1,000 ports over HTTP on each database, beside a statement, dicts and JSON by its bare driver."""

from __future__ import annotations

from pathlib import Path

from .binds import PATH, create_ports
from .databases import databases
from .floors import list_rate
from .http_load import Connection, percentile, run
from .results import Figure, Results
from .stack import running_stack


async def listing(connection: Connection) -> None:
    status, answer = await connection.request("GET", f"{PATH}?limit=1000")
    assert status == 200 and answer.count(b'"revision_number"') == 1000


async def measure(results: Results, folder: Path) -> None:
    for database in databases(folder):
        floor = await list_rate(database)
        with database.arguments() as arguments, running_stack(*arguments) as stack:
            await create_ports(stack.proton, 1000)
            await run(stack.proton, 1, [listing] * 5)
            wall, latencies = await run(stack.proton, 1, [listing] * 50)
        name, p50 = f"{database.name}: lists of 1,000 ports", percentile(latencies, 0.5) * 1e3
        results.add(Figure(f"{name} (p50 {p50:.1f} ms)", 50 / wall, "/s", floor, "select, dicts, json.dumps"))
