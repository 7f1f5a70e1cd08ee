"""How long it takes until the whole path works again: a new port is written, bound, and deleted."""

from __future__ import annotations

import itertools
import time

from gluon.etcd.client import Etcd
from system.faults.eventually import eventually
from system.faults.stack import SERVICE, Stack

_numbers = itertools.count(1)


async def works_again(stack: Stack, what: str, at_most: float) -> float:
    """Seconds until server, relay, shim and the way back have all done their part for a new port."""
    began = time.monotonic()
    port_id = (await stack.create_port(f"recovery-{next(_numbers)}"))["id"]

    async def bind() -> None:
        # One that was not answered in time is asked for again, as Nova's scheduler would elsewhere.
        bound = await stack.bind(port_id, "compute-9")
        assert bound["vif_type"] == "ovs", bound["vif_type"]

    await eventually(bind, at_most)
    seconds = time.monotonic() - began
    print(f"{what}: a new port is bound after {seconds:.1f} s")
    await stack.request("DELETE", f"ports/{port_id}", 204)

    async def gone() -> None:
        assert await stack.etcd.get(stack.keys.object(SERVICE, "Port", port_id)) is None

    await eventually(gone, at_most)
    return seconds


async def keys_elsewhere(etcd: Etcd, prefix: str) -> list[str]:
    """The keys in an etcd that are not below a prefix."""
    return [item.key for item in (await etcd.list("/")).items if not item.key.startswith(f"{prefix}/")]
