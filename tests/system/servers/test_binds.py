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


async def begun(site: Cluster, port_id: str) -> dict[str, object]:
    """The port in etcd with its bind, as a shim would see it."""

    async def check() -> dict[str, object]:
        found = await site.in_etcd(port_id)
        assert found["bind_id"] is not None
        return found

    return await eventually(check)


async def answer(site: Cluster, port_id: str) -> None:
    """As a shim would."""
    found = await begun(site, port_id)
    await site.etcd.put(
        site.keys.answer(SERVICE, "Port", port_id),
        b'{"vif_type": "ovs", "controller": "test", "bind_id": "%s"}' % str(found["bind_id"]).encode(),
    )


async def shows(server: Server, port_id: str, within: float = 20.0, **values: object) -> None:
    async def check() -> None:
        found = await server.request("GET", f"ports/{port_id}", 200)
        assert {name: found[name] for name in values} == values

    await eventually(check, within)


async def test_a_bind_may_be_answered_to_any_server(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish(), shims=("shim",)) as site:
        leader = await site.leader()
        for server in site.servers:
            created = await leader.request("POST", "ports", 201, port("one"))
            began = time.monotonic()
            bound = await server.put(f"ports/{created['id']}", **BIND)
            took = time.monotonic() - began
            print(f"bound in {took * 1000:.0f} ms, on {'the leader' if server is leader else 'another'}")
            assert (bound["vif_type"], bound["status"]) == ("ovs", "ACTIVE")
            assert took < 4.0


async def test_many_binds_over_two_servers_at_once(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2), Wish(), shims=("shim",)) as site:
        one, two = site.servers
        created = [await one.request("POST", "ports", 201, port(f"p{n}")) for n in range(40)]
        found = await asyncio.gather(
            *[(one, two)[n % 2].put(f"ports/{p['id']}", **BIND) for n, p in enumerate(created)]
        )
        assert {(p["vif_type"], p["status"]) for p in found} == {("ovs", "ACTIVE")}
        # Two changes of each: the bind and its answer. Nobody has stored an answer a second time.
        assert {p["revision_number"] for p in found} == {3}


async def test_the_answer_to_a_server_that_was_killed_is_taken_by_another(shared: Shared) -> None:
    async with cluster(shared, Wish(), Wish()) as site:
        one, two = site.servers
        created = await two.request("POST", "ports", 201, port("one"))
        waiting = asyncio.create_task(one.put(f"ports/{created['id']}", **BIND))
        await begun(site, created["id"])
        one.kill()
        with pytest.raises(httpx.TransportError):
            await waiting
        began = time.monotonic()
        await answer(site, created["id"])
        await shows(two, created["id"], vif_type="ovs", status="ACTIVE")
        print(f"ACTIVE {time.monotonic() - began:.2f} s after the answer")


async def test_binds_of_a_server_that_never_comes_back_are_given_up(shared: Shared) -> None:
    async with cluster(shared, Wish(bind_timeout=1.0), Wish(bind_timeout=1.0)) as site:
        one, two = site.servers
        created = await two.request("POST", "ports", 201, port("one"))
        waiting = asyncio.create_task(one.put(f"ports/{created['id']}", **BIND))
        await begun(site, created["id"])
        one.kill()
        with pytest.raises(httpx.TransportError):
            await waiting
        await shows(two, created["id"], vif_type="binding_failed", status="DOWN")
        await answer(site, created["id"])
        await shows(two, created["id"], vif_type="ovs", status="ACTIVE")


async def test_a_bind_that_a_live_server_waits_for_is_left_to_it(shared: Shared) -> None:
    """Also by one that starts meanwhile, and would itself not wait that long."""
    async with cluster(shared, Wish(bind_timeout=30.0)) as site:
        (patient,) = site.servers
        created = await patient.request("POST", "ports", 201, port("one"))
        waiting = asyncio.create_task(patient.put(f"ports/{created['id']}", **BIND))
        await begun(site, created["id"])
        hasty = site.add(Wish(bind_timeout=0.2))
        await site.start(hasty)
        # Long enough for it to have given up a bind of its own several times.
        await asyncio.sleep(4.0)
        found = await hasty.request("GET", f"ports/{created['id']}", 200)
        assert (found["vif_type"], found["revision_number"]) == (None, 2)
        await answer(site, created["id"])
        assert (await waiting)["vif_type"] == "ovs"


async def test_a_request_hears_of_an_answer_that_only_another_server_could_see(
    shared: Shared, etcd_server: EtcdServer
) -> None:
    cable = Cable("127.0.0.1", etcd_server.port)
    await cable.lay()
    try:
        far = Wish(bind_timeout=30.0, etcd_url=f"http://127.0.0.1:{cable.port}")
        async with cluster(shared, Wish()) as site:
            (near,) = site.servers
            await site.leader()
            lagging = site.add(far)
            await site.start(lagging)
            created = await near.request("POST", "ports", 201, port("one"))
            cable.cut()
            waiting = asyncio.create_task(lagging.put(f"ports/{created['id']}", **BIND))
            began = time.monotonic()
            await answer(site, created["id"])
            assert (await waiting)["vif_type"] == "ovs"
            print(f"answered {time.monotonic() - began:.2f} s later, without etcd")
            assert time.monotonic() - began < 15.0
    finally:
        await cable.remove()


async def test_a_request_hears_that_its_port_was_deleted_on_another_server(shared: Shared) -> None:
    async with cluster(shared, Wish(bind_timeout=30.0), Wish()) as site:
        one, two = site.servers
        created = await two.request("POST", "ports", 201, port("one"))
        waiting = asyncio.create_task(one.request("PUT", f"ports/{created['id']}", 404, BIND))
        await begun(site, created["id"])
        began = time.monotonic()
        await two.request("DELETE", f"ports/{created['id']}", 204)
        await waiting
        assert time.monotonic() - began < 15.0
