"""A thousand binds at once: each is answered within the bind timeout."""

from __future__ import annotations

import json
import time
from pathlib import Path

from benchmarks.http_load import Connection, percentile, run
from system.faults.agreement import agreed
from system.faults.stack import DEVICE, running

BINDS = 1000
BIND_TIMEOUT = 8.0


async def test_a_thousand_binds_at_once_are_all_answered_in_time(tmp_path: Path) -> None:
    async with running(tmp_path, bind_timeout=BIND_TIMEOUT) as stack:
        ports = await stack.create_ports(BINDS)
        await agreed(stack)
        body = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}
        failures = []

        async def bind(connection: Connection) -> None:
            status, answer = await connection.request(
                "PUT", f"/proton/net-l3vpn/v1.0/ports/{waiting.pop()}", body
            )
            if status != 200 or json.loads(answer)["vif_type"] != "ovs":
                failures.append((status, answer))

        waiting = list(ports)
        start = time.perf_counter()
        _, seconds = await run(stack.url, BINDS, [bind] * BINDS)
        wall = time.perf_counter() - start
        p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
        print(f"{BINDS} binds at once: p50 {p50:.2f} s, p99 {p99:.2f} s, the last after {wall:.2f} s")
        assert not failures, f"{len(failures)} of {BINDS} were not bound in time: {failures[:3]}"
        assert max(seconds) < BIND_TIMEOUT
        await agreed(stack)
