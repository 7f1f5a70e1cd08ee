"""A port that two controllers must have applied: one binds it, the other only takes part, and dies."""

from __future__ import annotations

from pathlib import Path

from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.stack import Stack, running


async def test_a_port_is_active_when_the_gateway_has_it_too(tmp_path: Path) -> None:
    shims = {"node": ["h1"], "gateway": ["nowhere"]}
    further = "[controllers]\nnet-l3vpn = dummy, gateway\n"
    async with running(tmp_path, shims=shims, bind_timeout=3.0, lease_ttl=2, further=further) as stack:
        gateway = stack.shims["gateway"]
        at_once, later = [(await stack.create_port(f"port-{number}"))["id"] for number in range(2)]
        bound = await stack.bind(at_once, "h1")
        assert (bound["vif_type"], bound["status"]) == ("ovs", "ACTIVE")

        gateway.kill()
        bound = await stack.bind(later, "h1")
        assert (bound["vif_type"], bound["status"]) == ("ovs", "DOWN")
        assert (await stack.port(at_once))["status"] == "ACTIVE"
        assert await missing(stack, later) == ["gateway"]

        stack.server.kill()
        gateway.start()
        await stack.shim_ready(gateway)
        stack.server.start()
        await stack.server_ready()
        await stack.bound(later)
        assert gateway.calls(later).count("bind_port") == 0
        await agreed(stack)

        calls = len(gateway.calls(later))
        await stack.request("PUT", f"ports/{later}", 200, {"name": "renamed"})

        async def told_once() -> None:
            assert len(gateway.calls(later)) == calls + 1

        await eventually(told_once)
        await agreed(stack)
        assert len(gateway.calls(later)) == calls + 1


async def missing(stack: Stack, port_id: str) -> list[str]:
    """The controllers that the port waits for: their journals are of an earlier state, or there is none."""
    bind_id = (await stack.answer(port_id))["bind_id"]
    found = []
    for entry in (await stack.request("GET", f"ports/{port_id}/status", 200))["status"]:
        key = stack.keys.status("net-l3vpn", "Port", port_id, entry["controller"])
        journal = await stack.etcd.get(key)
        if entry["required"] and (journal is None or bind_id.encode() not in journal.value):
            found.append(entry["controller"])
    return found
