"""Binding ports through HTTP, relay, etcd and the dummy backend, beside the same steps done by hand."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path

from .databases import databases
from .floors import bind_by_hand
from .http_load import Connection, Task, percentile, run
from .results import Figure, Results
from .stack import port_body, running_stack

PATH = "/proton/net-l3vpn/v1.0/ports"


def bind(port_id: str, failures: list[str]) -> Task:
    body = {"host_id": "compute-1", "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}

    async def task(connection: Connection) -> None:
        status, answer = await connection.request("PUT", f"{PATH}/{port_id}", body)
        assert status == 200, answer
        if json.loads(answer)["vif_type"] != "ovs":
            failures.append(port_id)

    return task


async def create_ports(url: str, count: int) -> list[str]:
    connection = await Connection.open(url)
    found = []
    for first in range(0, count, 100):
        bodies = [port_body(number) for number in range(first, min(first + 100, count))]
        status, answer = await connection.request("POST", PATH, {"ports": bodies})
        assert status == 201, answer
        found += [port["id"] for port in json.loads(answer)["ports"]]
    connection.close()
    return found


async def measure(results: Results, folder: Path) -> None:
    for database in databases(folder):
        with database.arguments() as arguments, running_stack(*arguments) as stack:
            for in_flight, count in ((1, 150), (100, 1000)):
                by_hand = await bind_by_hand(stack.etcd, database, in_flight, count)
                floor = percentile(by_hand, 0.5) * 1e3
                _, latencies = await _bind_all(stack.proton, in_flight, count)
                p50 = percentile(latencies, 0.5) * 1e3
                results.add(
                    Figure(
                        f"{database.name}: bind, {in_flight} in flight, p50",
                        p50,
                        "ms",
                        floor,
                        "the steps by hand",
                        "<= 1.5 x the floor",
                        p50 <= 1.5 * floor,
                    )
                )
            wall, _ = await _bind_all(stack.proton, 1000, 1000)
            results.add(
                Figure(
                    f"{database.name}: 1,000 binds at once, until the last is answered",
                    wall,
                    "s",
                    reach="all within the bind timeout of 8 s",
                    reached=wall < 8,
                )
            )


async def _bind_all(url: str, in_flight: int, count: int) -> tuple[float, list[float]]:
    failures: list[str] = []
    ports = await create_ports(url, count)
    # What the shim makes of new ports is measured elsewhere.
    await asyncio.sleep(3)
    start = time.perf_counter()
    _, latencies = await run(url, in_flight, [bind(port, failures) for port in ports])
    wall = time.perf_counter() - start
    assert not failures, f"{len(failures)} binds were not answered in time"
    return wall, latencies
