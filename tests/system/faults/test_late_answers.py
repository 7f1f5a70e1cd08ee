"""A controller that answers a bind too late: the port is bound all the same, with no further request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.stack import SERVICE, Stack, binding_of, running

BIND_TIMEOUT = 1.0
SECONDS = 8.0
"""In which a bind heals once all run again; a lease that was lost meanwhile must come back first."""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, bind_timeout=BIND_TIMEOUT, lease_ttl=2) as stack:
        yield stack


async def failed_bind(stack: Stack) -> str:
    """A port whose bind nobody has answered in time; the shim is paused from here on."""
    port = await stack.create_port("late")
    stack.shim.pause()
    answer = await stack.bind(port["id"], "compute-1")
    assert (answer["vif_type"], answer["status"]) == ("binding_failed", "DOWN"), binding_of(answer)
    assert answer["host_id"] == "compute-1"
    return str(port["id"])


async def bound_once(stack: Stack, port_id: str) -> None:
    await stack.bound(port_id, SECONDS)
    await agreed(stack)
    assert stack.shim.calls(port_id).count("bind_port") == 1, stack.shim.log()


async def test_a_bind_of_a_paused_shim_heals_when_it_goes_on(stack: Stack) -> None:
    port_id = await failed_bind(stack)
    stack.shim.resume()
    await bound_once(stack, port_id)


async def test_it_heals_although_the_shim_has_lost_its_lease_meanwhile(stack: Stack) -> None:
    before = await stack.create_port("bound before")
    await stack.bind(before["id"], "compute-1")
    port_id = await failed_bind(stack)

    async def name_and_claims_are_gone() -> None:
        assert await stack.etcd.get(stack.keys.controller(stack.shim.name)) is None
        claims = await stack.etcd.list(stack.keys.claims(SERVICE))
        assert not claims.items, claims

    await eventually(name_and_claims_are_gone)
    stack.shim.resume()
    await bound_once(stack, port_id)
    assert stack.shim.calls(before["id"]).count("bind_port") == 1, stack.shim.log()


async def test_it_heals_over_a_restart_of_the_server(stack: Stack) -> None:
    port_id = await failed_bind(stack)
    assert stack.server.stop() == 0
    stack.server.start()
    await stack.server_ready()
    stack.shim.resume()
    await bound_once(stack, port_id)


async def test_an_answer_that_came_while_the_server_was_down_is_taken(stack: Stack) -> None:
    port_id = await failed_bind(stack)
    stack.server.kill()
    stack.shim.resume()
    assert (await stack.answer(port_id))["vif_type"] == "ovs"
    stack.server.start()
    await stack.server_ready()
    await bound_once(stack, port_id)


async def test_a_bind_that_the_server_died_in_is_seen_through_by_the_next(stack: Stack) -> None:
    port = await stack.create_port("cut off")
    stack.shim.pause()
    binding = asyncio.create_task(stack.bind(port["id"], "compute-1"))

    async def asked_for() -> None:
        found = await stack.etcd.get(stack.keys.object(SERVICE, "Port", port["id"]))
        assert found is not None and b'"host_id":"compute-1"' in found.value, found

    await eventually(asked_for)
    stack.server.kill()
    with pytest.raises(httpx.TransportError):
        await binding
    stack.shim.resume()
    stack.server.start()
    await stack.server_ready()
    await bound_once(stack, port["id"])


async def test_it_heals_over_a_restart_of_etcd(stack: Stack) -> None:
    port_id = await failed_bind(stack)
    stack.etcd_server.stop()
    stack.etcd_server.start()
    await stack.etcd_server.ready()
    stack.shim.resume()
    await bound_once(stack, port_id)
