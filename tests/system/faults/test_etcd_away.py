"""etcd is away, or silent: writes go on, binds fail, health says why; all of it heals when etcd is back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.feed_watcher import watching
from system.faults.stack import SERVICE, Stack, running

BIND_TIMEOUT = 1.0


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, bind_timeout=BIND_TIMEOUT, lease_ttl=2) as stack:
        yield stack


async def take_away(stack: Stack, way: str) -> None:
    if way == "stopped":
        stack.etcd_server.stop()
    else:
        stack.etcd_server.pause()


async def give_back(stack: Stack, way: str) -> None:
    if way == "paused":
        stack.etcd_server.resume()
    else:
        stack.etcd_server.start()
    await stack.etcd_server.ready()


async def says_why(stack: Stack) -> dict[str, Any]:
    """The health report once it tells of etcd, of the relay, and of the answers."""

    async def check() -> dict[str, Any]:
        report = await stack.health()
        assert report["status"] == "degraded", report
        checks = report["checks"]
        assert "binds fail" in checks["etcd"].get("reason", ""), checks
        assert checks["relay"]["depth"] > 0, checks
        assert checks["relay"].get("reasons"), checks
        assert checks["answers"]["status"] == "degraded", checks
        return report

    return await eventually(check)


@pytest.mark.parametrize("way", ["stopped", "paused"])
async def test_work_goes_on_without_etcd_and_reaches_it_in_order_later(stack: Stack, way: str) -> None:
    bound_before = await stack.create_port("bound before")
    await stack.bind(bound_before["id"], "compute-1")
    await agreed(stack)
    async with watching(stack.etcd_server.url, stack.keys) as feed:
        await take_away(stack, way)

        names = [f"port-{number:03}" for number in range(150)]
        ports = [(await stack.create_port(name))["id"] for name in names]
        answer = await stack.bind(ports[0], "compute-1")
        assert (answer["vif_type"], answer["status"]) == ("binding_failed", "DOWN"), answer
        await stack.request("PUT", f"ports/{ports[1]}", 200, {"mtu": 9000})
        await stack.request("PUT", f"ports/{bound_before['id']}", 200, {"host_id": None})
        await stack.request("DELETE", f"ports/{ports[2]}", 204)
        report = await says_why(stack)

        await give_back(stack, way)
        healed = await stack.bound(ports[0])
        found = await agreed(stack)
        assert (await stack.health())["status"] == "ok", (report, await stack.health())

        expected = [p for p in ports if p != ports[2]]
        assert sorted(p["id"] for p in found["ports"]) == sorted([*expected, bound_before["id"]])
        assert healed["host_id"] == "compute-1"
        came = [key for key in feed.created if "/Port/" in key]
        # A port that went before etcd was back may have come and gone, or never have been seen.
        assert [k for k in came if ports[2] not in k] == [
            stack.keys.object(SERVICE, "Port", port_id) for port_id in expected
        ]
        assert "unbind_port" in stack.shim.calls(bound_before["id"])
