"""A port moves from host to host while it is used, with a shim on each, and while any of them dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.feed_watcher import watching
from system.faults.stack import SERVICE, Shim, Stack, running


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    shims = {"source": ["h1"], "destination": ["h2"]}
    async with (
        running(tmp_path, shims=shims, bind_timeout=2.0, lease_ttl=2) as stack,
        watching(stack.etcd_server.url, stack.keys),
    ):
        yield stack


async def on_h1(stack: Stack) -> str:
    """A port that is bound there."""
    port_id: str = (await stack.create_port("moving"))["id"]
    assert (await stack.bind(port_id, "h1"))["vif_type"] == "ovs"
    return port_id


async def made_ready(stack: Stack, port_id: str) -> dict[str, Any]:
    return dict(await stack.request("POST", f"ports/{port_id}/bindings", 201, {"host": "h2"}))


async def called(shim: Shim, port_id: str, *names: str) -> None:
    """Return when the shim's backend was asked these things of a port's bindings, in this order."""

    async def check() -> None:
        asked = [name for name in shim.calls(port_id) if not name.startswith("modify_")]
        assert asked == list(names), (shim.name, asked)

    await eventually(check)


async def claims(stack: Stack, port_id: str) -> set[str]:
    listing = await stack.etcd.list(stack.keys.claims(SERVICE, port_id))
    return {stack.keys.parse(item.key).segments[-1] for item in listing.items}


async def test_a_migration_that_succeeds_and_one_that_fails(stack: Stack) -> None:
    source, destination = stack.shims.values()
    port_id = await on_h1(stack)
    assert (await made_ready(stack, port_id))["vif_type"] == "ovs"
    assert await claims(stack, port_id) == {"h1", "h2"}
    await stack.request("DELETE", f"ports/{port_id}/bindings/h2", 204)
    await called(destination, port_id, "bind_port", "unbind_port")
    await agreed(stack)

    await made_ready(stack, port_id)
    activated = await stack.request("PUT", f"ports/{port_id}/bindings/h2/activate", 200)
    assert (activated["status"], activated["vif_type"]) == ("ACTIVE", "ovs")
    await called(destination, port_id, "bind_port", "unbind_port", "bind_port", "activate_port")
    await called(source, port_id, "bind_port")
    assert (await stack.port(port_id))["host_id"] == "h2"

    await stack.request("DELETE", f"ports/{port_id}/bindings/h1", 204)
    await called(source, port_id, "bind_port", "unbind_port")
    await agreed(stack)


async def test_the_destination_is_killed_at_each_step(stack: Stack) -> None:
    source, destination = stack.shims.values()
    port_id = await on_h1(stack)
    destination.kill()
    assert (await made_ready(stack, port_id))["vif_type"] == "binding_failed"
    await stack.request("PUT", f"ports/{port_id}/bindings/h2/activate", 409)
    destination.start()

    async def ready() -> None:
        found = await stack.request("GET", f"ports/{port_id}/bindings/h2", 200)
        assert found["vif_type"] == "ovs", found

    await eventually(ready)
    destination.kill()
    await stack.request("PUT", f"ports/{port_id}/bindings/h2/activate", 200)
    destination.start()
    await called(destination, port_id, "bind_port", "activate_port")
    destination.kill()
    await stack.request("DELETE", f"ports/{port_id}/bindings/h1", 204)
    await called(source, port_id, "bind_port", "unbind_port")
    destination.start()
    await stack.shim_ready(destination)
    await agreed(stack)
    await called(destination, port_id, "bind_port", "activate_port")


async def test_a_source_that_died_is_left_and_lets_go_when_it_is_back(stack: Stack) -> None:
    source = stack.shims["source"]
    port_id = await on_h1(stack)
    other = await on_h1(stack)
    source.kill()
    # Evacuated in either way: over an inactive binding, or by its host.
    assert (await made_ready(stack, port_id))["vif_type"] == "ovs"
    await stack.request("PUT", f"ports/{port_id}/bindings/h2/activate", 200)
    await stack.request("DELETE", f"ports/{port_id}/bindings/h1", 204)
    await made_ready(stack, other)
    moved = await stack.request("PUT", f"ports/{other}", 200, {"host_id": "h2"})
    assert (await stack.bound(other))["host_id"] == "h2", moved
    assert await stack.request("GET", f"ports/{other}/bindings", 200) == {
        "bindings": [await stack.request("GET", f"ports/{other}/bindings/h2", 200)]
    }
    source.start()
    await called(source, port_id, "bind_port", "unbind_port")
    await called(source, other, "bind_port", "unbind_port")
    await agreed(stack)


async def test_the_server_is_killed_while_it_waits_for_the_destination(stack: Stack) -> None:
    destination = stack.shims["destination"]
    port_id = await on_h1(stack)
    destination.pause()
    await stack.request("PUT", f"ports/{port_id}", 200, {"profile": '{"migrating_to": "h2"}'})
    await made_ready(stack, port_id)
    stack.server.kill()
    destination.resume()
    stack.server.start()
    await stack.server_ready()

    async def ready() -> None:
        found = await stack.request("GET", f"ports/{port_id}/bindings/h2", 200)
        assert found["vif_type"] == "ovs", found

    await eventually(ready)
    await stack.request("PUT", f"ports/{port_id}/bindings/h2/activate", 200)
    await stack.request("DELETE", f"ports/{port_id}/bindings/h1", 204)
    await agreed(stack)
