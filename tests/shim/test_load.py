"""Many at once: binds within their time, objects within their memory."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
import uuid

from gluon.etcd.client import Op
from gluon.shim.views import View
from shim.relaying import Relaying, until
from shim.running import Recorder, Shims

BINDS = 1_000
BIND_TIMEOUT = 8.0


async def put_all(relay: Relaying, documents: list[dict[str, object]], batch: int = 100) -> None:
    for at in range(0, len(documents), batch):
        part = documents[at : at + batch]
        ops = [Op.put(relay.key("Port", str(d["id"])), json.dumps(d).encode()) for d in part]
        await relay.etcd.transact((), ops)


def port_document(number: int) -> dict[str, object]:
    return {
        "id": str(uuid.UUID(int=number + (1 << 100))),
        "tenant_id": "a868a466bca84df18404a77db0ecac72",
        "name": f"port {number}",
        "mac_address": "c8:2a:14:04:43:80",
        "admin_state_up": True,
        "status": "DOWN",
        "vnic_type": "normal",
        "mtu": 1500,
        "vlan_transparency": True,
        "profile": None,
        "device_id": None,
        "device_owner": None,
        "host_id": None,
        "vif_details": None,
        "vif_type": None,
        "created_at": "2026-11-22T00:00:00Z",
        "updated_at": "2026-11-22T00:00:00Z",
        "revision_number": 1,
        "bind_id": None,
        "bindings": [],
    }


async def test_a_thousand_binds_at_once_are_answered_in_time(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()

    async def as_a_controller_would(view: View) -> None:
        await asyncio.sleep(0.01)

    backend.on("bind_port", as_a_controller_would)
    await shims.ready(backend, parallel=128)
    ports = [port_document(number) for number in range(BINDS)]
    await put_all(relay, ports)
    await until(lambda: backend.count("modify_port") == BINDS)
    for port in ports:
        port |= {"host_id": "compute-1", "bind_id": str(uuid.uuid4()), "revision_number": 2}

    start = time.perf_counter()
    await put_all(relay, ports)
    # To ask etcd all the time would take the time that is measured.
    await until(lambda: backend.count("bind_port") == BINDS)

    async def answered() -> bool:
        listing = await relay.etcd.list(relay.keys.answers())
        return len(listing.items) == BINDS

    await until(answered, "all answers")
    took = time.perf_counter() - start
    print(f"{BINDS} binds in {took:.2f} s")
    assert took < BIND_TIMEOUT
    answers = {json.loads(i.value)["bind_id"] for i in (await relay.etcd.list(relay.keys.answers())).items}
    assert answers == {port["bind_id"] for port in ports}
    assert backend.count("bind_port") == BINDS


async def test_a_stored_object_takes_no_more_than_two_kilobytes(relay: Relaying, shims: Shims) -> None:
    count = 2_000
    documents = [port_document(number) for number in range(count)]
    for document in documents:
        document |= {"host_id": "compute-1", "bind_id": str(uuid.uuid4()), "vif_type": "ovs"}
    await put_all(relay, documents)

    class Silent:
        async def bind_port(self, port: View) -> dict[str, object]:
            return {"vif_type": "ovs", "vif_details": {"bridge_name": "br-gluon"}}

    server = await shims.ready(Silent(), parallel=64)

    async def answered() -> bool:
        return len((await relay.etcd.list(relay.keys.answers())).items) == count

    await until(answered)
    await shims.stop(server)

    tracemalloc.start()
    server = await shims.ready(Silent(), parallel=64)

    async def claimed() -> bool:
        return len((await relay.etcd.list(relay.keys.claims())).items) == count

    await until(claimed)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{held / count:.0f} bytes for each bound port")
    assert held / count <= 2048
