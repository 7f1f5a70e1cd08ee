"""What happens while a shim is down is made up for when it is back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from system.faults.agreement import agreed
from system.faults.stack import SERVICE, TENANT, Stack, running


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, bind_timeout=4.0, lease_ttl=2) as stack:
        yield stack


async def port_in_vpn(stack: Stack, name: str, vpn_id: str) -> str:
    """A port in a VPN, bound on compute-1."""
    port = await stack.create_port(name)
    binding = {"tenant_id": TENANT, "interface_id": port["id"], "service_id": vpn_id, "ipaddress": "10.0.0.2"}
    await stack.request("POST", "vpnbindings", 201, binding)
    assert (await stack.bind(port["id"], "compute-1"))["vif_type"] == "ovs"
    return str(port["id"])


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_what_went_while_the_shim_was_down_is_undone_when_it_is_back(stack: Stack, end: str) -> None:
    vpn = await stack.request("POST", "vpns", 201, {"tenant_id": TENANT, "name": "the vpn"})
    deleted, unbound, kept = [await port_in_vpn(stack, n, vpn["id"]) for n in ("deleted", "unbound", "kept")]
    await agreed(stack)
    asked_before = stack.shim.lines("backends.dummy")

    (stack.shim.stop if end == "stopped" else stack.shim.kill)()
    await stack.request("DELETE", f"ports/{deleted}?cascade=true", 204)
    answer = await stack.request("PUT", f"ports/{unbound}", 200, {"host_id": None})
    assert (answer["vif_type"], answer["status"]) == (None, "DOWN")
    assert stack.shim.lines("backends.dummy") == asked_before
    stack.shim.start()
    await stack.shim_ready()
    await agreed(stack)

    asked = stack.shim.lines("backends.dummy")[len(asked_before) :]
    of_deleted = [line.partition(f"{SERVICE} ")[2] for line in asked if deleted in line]
    assert of_deleted == [
        f"unbind_port Port {deleted} 'deleted' from compute-1",
        f"delete_port Port {deleted} 'deleted'",
        f"delete_service_binding VpnBinding {deleted}",
        f"delete_interface Interface {deleted} 'deleted_default'",
    ]
    assert f"unbind_port Port {unbound} 'unbound' from compute-1" in "\n".join(asked)
    assert not [line for line in asked if kept in line], asked
    left = await stack.etcd.list(stack.keys.statuses(SERVICE, "Port"))
    assert {stack.keys.parse(item.key).segments[2] for item in left.items} == {unbound, kept}
