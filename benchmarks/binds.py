"""Binding ports through HTTP, relay, etcd and the dummy backend, beside the same steps done by hand."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

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
    with running_stack() as stack:
        for in_flight, count in ((1, 200), (100, 1500)):
            floor = percentile(await bind_by_hand(stack.etcd, folder, in_flight, count), 0.5) * 1e3
            failures: list[str] = []
            ports = await create_ports(stack.proton, count)
            _, latencies = await run(stack.proton, in_flight, [bind(port, failures) for port in ports])
            assert not failures, f"{len(failures)} binds were not answered in time"
            p50 = percentile(latencies, 0.5) * 1e3
            results.add(
                Figure(
                    f"bind, {in_flight} in flight, p50",
                    p50,
                    "ms",
                    floor,
                    "the steps by hand",
                    "<= 1.5 x the floor",
                    p50 <= 1.5 * floor,
                )
            )
        ports, failures = await create_ports(stack.proton, 1000), []
        start = time.perf_counter()
        _, latencies = await run(stack.proton, 1000, [bind(port, failures) for port in ports])
        wall = time.perf_counter() - start
        results.add(
            Figure(
                "1,000 binds at once, until the last is answered",
                wall,
                "s",
                reach="all within the bind timeout of 8 s",
                reached=not failures and wall < 8,
            )
        )
