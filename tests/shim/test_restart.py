"""A shim that was away ends in the state of one that never was."""

from __future__ import annotations

import asyncio

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.model.resolution import model_from_document
from gluon.shim.errors import PermanentError
from gluon.shim.views import View
from servers.etcd import EtcdServer
from shim.relaying import Relaying, bundled, until
from shim.running import Recorder, Shims


async def test_deletions_that_were_missed_are_done_with_what_was_applied(
    relay: Relaying, shims: Shims
) -> None:
    server = await shims.ready(Recorder())
    vpn, port = await relay.vpn(name="of old"), await relay.port(name="gone")
    await relay.interface(port)
    await relay.binding(port, vpn)
    await relay.bind(port, "compute-7")
    await relay.answer(port)
    for name, key in (("VpnService", vpn), ("Interface", port), ("VpnBinding", port)):
        await relay.until_status(name, key)
    await shims.stop(server)
    await relay.etcd.delete_prefix(relay.keys.objects("net-l3vpn"))

    backend, services = Recorder(), list[str]()
    backend.on("delete_service_binding", lambda binding: services.append(binding.service.name))
    await shims.ready(backend)

    await backend.until("delete_service", vpn)
    await backend.until("delete_interface", port)
    assert backend.names()[:3] == ["unbind_port", "delete_port", "delete_service_binding"]
    assert sorted(backend.names()[3:]) == ["delete_interface", "delete_service"]
    assert backend.last("unbind_port").host_id == "compute-7"
    assert backend.last("delete_service").name == "of old"
    assert services == ["of old"]
    for name, key in (("VpnService", vpn), ("Interface", port), ("VpnBinding", port), ("Port", port)):
        await relay.until_forgotten(name, key)


async def test_what_was_applied_is_not_applied_again_but_what_changed_is(
    relay: Relaying, shims: Shims
) -> None:
    server = await shims.ready(Recorder())
    same, changed, port = await relay.vpn(), await relay.vpn(), await relay.port()
    await relay.bind(port)
    answer = await relay.answer(port)
    for key in (same, changed):
        await relay.until_status("VpnService", key)
    await shims.stop(server)
    assert await relay.claims(port) == {}
    await relay.vpn(id=changed, name="new name")

    backend = Recorder()
    await shims.ready(backend)

    await relay.until_status("VpnService", changed)

    async def claimed() -> bool:
        return await relay.claims(port) == {"compute-1": "shim"}

    await until(claimed, "the claim")
    assert backend.calls == [("modify_service", changed)]
    assert await relay.answer(port) == answer


async def test_a_backend_that_forgets_is_told_everything_again(relay: Relaying, shims: Shims) -> None:
    class Forgetful(Recorder):
        replay = True

    server = await shims.ready(Forgetful())
    vpn, bound, free = await relay.vpn(), await relay.port(), await relay.port()
    await relay.bind(bound)
    answer = await relay.answer(bound)
    await relay.until_status("VpnService", vpn)
    await relay.until_status("Port", free)
    await shims.stop(server)

    backend = Forgetful()
    await shims.ready(backend)

    await backend.until("modify_service", vpn)
    await backend.until("bind_port", bound)
    await backend.until("modify_port", free)
    assert await relay.answer(bound) == answer
    await asyncio.sleep(0.1)
    assert len(backend.calls) == 3


async def test_a_port_that_was_moved_or_unbound_meanwhile_is_let_go_of(relay: Relaying, shims: Shims) -> None:
    hosts = frozenset({"compute-1"})
    server = await shims.ready(Recorder(), hosts=hosts)
    moved, unbound = await relay.port(), await relay.port()
    for port in (moved, unbound):
        await relay.bind(port, "compute-1")
        await relay.answer(port)
    await shims.stop(server)
    await relay.bind(moved, "compute-2")
    await relay.unbind(unbound)

    backend = Recorder()
    await shims.ready(backend, hosts=hosts)

    for port in (moved, unbound):
        await relay.until_status("Port", port)
        assert backend.names(port) == ["unbind_port", "modify_port"]


async def test_a_bind_that_was_asked_meanwhile_is_answered(relay: Relaying, shims: Shims) -> None:
    server = await shims.ready(Recorder())
    port = await relay.port()
    await relay.until_status("Port", port)
    await shims.stop(server)
    await relay.bind(port)

    await shims.ready(Recorder())

    assert (await relay.answer(port))["controller"] == "shim"


async def test_what_was_refused_is_tried_once_more_at_a_start_but_no_bind_is(
    relay: Relaying, shims: Shims
) -> None:
    first = Recorder()
    first.on("modify_service", PermanentError("no"))
    first.on("bind_port", PermanentError("no"))
    server = await shims.ready(first)
    vpn, port = await relay.vpn(), await relay.port()
    await relay.bind(port)
    await relay.answer(port)
    await relay.until_status("VpnService", vpn, "FAILED")
    await shims.stop(server)

    backend = Recorder()
    await shims.ready(backend)

    await relay.until_status("VpnService", vpn)
    assert backend.names() == ["modify_service"]


async def test_the_end_waits_for_callbacks_under_way_and_writes_down_what_came_of_them(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()

    async def slowly(view: View) -> None:
        await asyncio.sleep(0.3)

    backend.on("modify_service", slowly)
    server = await shims.ready(backend)
    vpn = await relay.vpn()
    await backend.until("modify_service", vpn)

    await shims.stop(server)

    status = await relay.status("VpnService", vpn)
    assert status is not None
    assert status["state"] == "APPLIED"
    assert await relay.value(relay.keys.controller("shim")) is None


async def test_reconcile_sees_all_that_should_be_there_before_anything_else_is_asked(
    relay: Relaying, shims: Shims
) -> None:
    vpn, port = await relay.vpn(), await relay.port()
    await relay.interface(port)

    class Reconciling(Recorder):
        def reconcile(self, desired: object) -> None:
            self.calls.append(("reconcile", ",".join(v.key for v in desired.services)))  # type: ignore[attr-defined]
            self.desired = desired

    backend = Reconciling()
    await shims.ready(backend)
    await relay.until_status("Port", port)
    assert backend.calls[0] == ("reconcile", vpn)
    desired = backend.desired
    assert [p.key for p in desired.ports] == [port]  # type: ignore[attr-defined]
    assert desired.bound_ports == ()  # type: ignore[attr-defined]
    await relay.bind(port)
    await relay.until_status("Port", port)
    await until(lambda: [p.key for p in desired.bound_ports] == [port])  # type: ignore[attr-defined]
    assert desired.find("VpnService", vpn).key == vpn  # type: ignore[attr-defined]
    assert desired.find("VpnService", "nonsense") is None  # type: ignore[attr-defined]


async def test_a_backend_that_can_not_start_yet_is_started_later(relay: Relaying, shims: Shims) -> None:
    class Late(Recorder):
        tries = 0

        def start(self) -> None:
            self.tries += 1
            if self.tries < 2:
                raise ConnectionError("the controller is not up")

    backend = Late()
    vpn = await relay.vpn()
    await shims.ready(backend)
    await relay.until_status("VpnService", vpn)
    assert backend.tries == 2


async def test_a_new_version_of_the_model_is_picked_up(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    vpn = await relay.vpn()
    await relay.until_status("VpnService", vpn)
    document = {**relay.model.document, "info": {**relay.model.document["info"], "version": "1.10"}}
    service = dict(document["objects"]["VpnService"])
    attributes = {**service["attributes"], "color": {"type": "string"}}
    document["objects"] = {**document["objects"], "VpnService": {**service, "attributes": attributes}}
    newer = model_from_document(document)
    assert newer.digest != relay.model.digest

    relay.model = newer
    await relay.publish()

    async def sees_it() -> bool:
        await relay.vpn(id=vpn, color="green")
        return getattr(backend.last("modify_service"), "color", None) == "green"

    await until(sees_it, "the new attribute")


async def test_services_that_appear_later_are_served(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    server = await shims.ready(backend)
    assert server.service("test") is None
    await Relaying(relay.etcd, relay.keys, bundled("test")).publish()
    await until(lambda: server.service("test") is not None, "the service")


async def test_etcd_that_comes_late_goes_and_returns(own_etcd_server: EtcdServer, etcd_prefix: str) -> None:
    own_etcd_server.stop()
    shims, backend = Shims(own_etcd_server.url, etcd_prefix), Recorder()
    server = shims.start(backend, lease_ttl=2)
    await asyncio.sleep(0.2)
    own_etcd_server.start()
    await own_etcd_server.ready()
    client = Etcd([own_etcd_server.url])
    relay = Relaying(client, Keys(etcd_prefix))
    await relay.publish()
    await until(lambda: server.service("net-l3vpn") is not None, "the service")
    port = await relay.port()
    await relay.bind(port)
    answer = await relay.answer(port)

    own_etcd_server.stop()
    await asyncio.sleep(2.5)  # Longer than the lease.
    own_etcd_server.start()
    await own_etcd_server.ready()

    other = await relay.port()
    await relay.bind(other)
    assert (await relay.answer(other))["controller"] == "shim"

    async def claimed() -> bool:
        return await relay.claims(port) == {"compute-1": "shim"}

    await until(claimed, "the claim after the lease was lost")
    assert await relay.answer(port) == answer
    assert backend.binds(port) == ["bind_port"]
    await shims.stop()
    await client.close()


async def test_a_wiped_etcd_is_no_reason_to_delete_anything(
    own_etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    shims, backend = Shims(own_etcd_server.url, etcd_prefix), Recorder()
    client = Etcd([own_etcd_server.url])
    relay = Relaying(client, Keys(etcd_prefix))
    await relay.publish()
    # So short that its loss is noticed soon.
    await shims.ready(backend, lease_ttl=3)
    vpn, port = await relay.vpn(), await relay.port()
    await relay.bind(port)
    await relay.answer(port)
    await relay.until_status("VpnService", vpn)
    await client.close()

    own_etcd_server.stop()
    own_etcd_server.wipe()
    own_etcd_server.start()
    await own_etcd_server.ready()

    client = Etcd([own_etcd_server.url])
    fresh = Relaying(client, Keys(etcd_prefix))
    fresh.objects = relay.objects
    await fresh.publish()
    fresh.objects["VpnService", vpn]["revision_number"] -= 1
    await fresh.vpn(id=vpn)
    fresh.objects["Port", port]["revision_number"] -= 1
    await fresh.port(port)

    await fresh.until_status("VpnService", vpn)
    await fresh.until_status("Port", port)

    async def claimed() -> bool:
        return await fresh.claims(port) == {"compute-1": "shim"}

    await until(claimed, "the claim")
    assert backend.binds(port) == ["bind_port"]
    assert backend.names(vpn) == ["modify_service"]
    await shims.stop()
    await client.close()
