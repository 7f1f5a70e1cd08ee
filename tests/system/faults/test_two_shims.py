"""Two shims that answer for the same hosts: one binds, and the other carries on when that one dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from system.faults.eventually import eventually
from system.faults.stack import SERVICE, Shim, Stack, running

HOSTS = ["compute-1", "compute-2"]
LEASE = 2


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, shims={"one": HOSTS, "other": HOSTS}, lease_ttl=LEASE) as stack:
        yield stack


async def claim_of(stack: Stack, port_id: str) -> tuple[str, Shim]:
    """The key of the only claim on a port, and whose it is."""
    listing = await stack.etcd.list(stack.keys.claims(SERVICE, port_id))
    assert len(listing.items) == 1, listing
    (claim,) = listing.items
    return claim.key, stack.shims[msgspec.json.decode(claim.value)["controller"]]


async def test_one_of_two_binds_and_the_other_takes_over_on_another_host(stack: Stack) -> None:
    ports = [(await stack.create_port(f"port-{number}"))["id"] for number in range(4)]
    for port_id in ports:
        assert (await stack.bind(port_id, "compute-1"))["vif_type"] == "ovs"
    for port_id in ports:
        calls = [shim.calls(port_id).count("bind_port") for shim in stack.shims.values()]
        assert sorted(calls) == [0, 1], calls

    old_claim, holder = await claim_of(stack, ports[0])
    (heir,) = (shim for shim in stack.shims.values() if shim is not holder)
    holder.kill()
    moved = await stack.bind(ports[0], "compute-2")
    assert (moved["vif_type"], moved["host_id"]) == ("ovs", "compute-2"), moved
    new_claim, now = await claim_of(stack, ports[0])
    assert now is heir
    assert old_claim != new_claim
    assert heir.calls(ports[0]).count("bind_port") == 1

    holder.start()
    await stack.shim_ready(holder)

    async def the_old_host_is_left() -> None:
        assert holder.lines("unbind_port", ports[0], "from compute-1"), holder.log()[-1000:]

    await eventually(the_old_host_is_left)
    assert (await claim_of(stack, ports[0]))[1] is heir
    found = await stack.bound(ports[0])
    assert found["host_id"] == "compute-2"
