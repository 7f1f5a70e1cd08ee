"""Binds with several servers: any of them may get the request, the answer, or be killed in between."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from servers.etcd import EtcdServer
from system.chaos.cable import Cable
from system.faults.eventually import eventually
from system.faults.stack import DEVICE, SERVICE, port
from system.servers.cluster import Cluster, Server, Shared, Wish, cluster

BIND = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}


async def begun(site: Cluster, server: Server, by: Server) -> tuple[str, asyncio.Task[httpx.Response]]:
    """A port, made by one server, whose bind is under way by a request to another one."""
    created = await by.request("POST", "ports", 201, port("one"))
    waiting = asyncio.create_task(server.http.put(f"ports/{created['id']}", json=BIND))

    async def check() -> None:
        assert (await site.in_etcd(created["id"]))["bind_id"] is not None

    await eventually(check)
    return created["id"], waiting


async def answer(site: Cluster, port_id: str) -> None:
    """As a shim would."""
    bind_id = str((await site.in_etcd(port_id))["bind_id"])
    await site.etcd.put(
        site.keys.answer(SERVICE, "Port", port_id),
        b'{"vif_type": "ovs", "controller": "test", "bind_id": "%s"}' % bind_id.encode(),
    )


async def shows(server: Server, port_id: str, **values: object) -> None:
    async def check() -> None:
        found = await server.request("GET", f"ports/{port_id}", 200)
        assert {name: found[name] for name in values} == values

    await eventually(check)


async def test_a_bind_may_be_answered_to_any_server(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish(), shims=("shim",)) as site:
        one, two = site.servers
        created = [await one.request("POST", "ports", 201, port(f"p{n}")) for n in range(20)]
        found = await asyncio.gather(
            *[(one, two)[n % 2].put(f"ports/{p['id']}", **BIND) for n, p in enumerate(created)]
        )
        assert {(p["vif_type"], p["status"]) for p in found} == {("ovs", "ACTIVE")}
        # Two changes of each: the bind and its answer. Nobody has stored an answer a second time.
        assert {p["revision_number"] for p in found} == {3}


async def test_what_a_killed_server_waited_for_is_settled_by_another(shared: Shared) -> None:
    async with cluster(shared, Wish(bind_timeout=3.0), Wish(bind_timeout=3.0)) as site:
        one, two = site.servers
        answered, first = await begun(site, one, by=two)
        unanswered, second = await begun(site, one, by=two)
        one.kill()
        for waiting in (first, second):
            with pytest.raises(httpx.TransportError):
                await waiting
        await answer(site, answered)
        await shows(two, answered, vif_type="ovs", status="ACTIVE")
        # The server never comes back.
        await shows(two, unanswered, vif_type="binding_failed", status="DOWN")
        await answer(site, unanswered)
        await shows(two, unanswered, vif_type="ovs", status="ACTIVE")


async def test_a_bind_is_its_servers_own_and_a_request_hears_of_what_happens_to_it_elsewhere(
    shared: Shared, etcd_server: EtcdServer
) -> None:
    cable = Cable("127.0.0.1", etcd_server.port)
    await cable.lay()
    patience = Wish(bind_timeout=30.0, etcd_url=f"http://127.0.0.1:{cable.port}")
    try:
        # The second would not wait that long itself.
        async with cluster(shared, patience, Wish(bind_timeout=0.2)) as site:
            patient, hasty = site.servers
            port_id, waiting = await begun(site, patient, by=hasty)
            # Long enough for it to have given up a bind of its own.
            await asyncio.sleep(3.0)
            found = await hasty.request("GET", f"ports/{port_id}", 200)
            assert (found["vif_type"], found["revision_number"]) == (None, 2)

            await hasty.request("DELETE", f"ports/{port_id}", 204)
            assert (await asyncio.wait_for(waiting, 15)).status_code == 404

            # The relay has to be on this side of what is cut.
            if await site.leader() is patient:
                cable.cut()

                async def leads() -> None:
                    assert (await hasty.relay())["leader"]

                await eventually(leads)
                cable.mend()
            port_id, waiting = await begun(site, patient, by=hasty)
            cable.cut()
            began = time.monotonic()
            await answer(site, port_id)
            assert (await asyncio.wait_for(waiting, 15)).json()["vif_type"] == "ovs"
            print(f"answered {time.monotonic() - began:.2f} s after the controller had, without etcd")
    finally:
        await cable.remove()
