"""Binding of ports: one controller, one bind_port for each bind, an answer for the bind that was asked."""

from __future__ import annotations

import asyncio
import threading
import uuid

from gluon.shim.backends.dummy import VIF
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.views import View
from shim.relaying import Relaying
from shim.running import Recorder, Shims


async def test_a_bind_is_claimed_answered_and_written_down(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()

    bind_id = await relay.bind(port)

    assert await relay.answer(port) == {**VIF, "controller": "shim", "bind_id": bind_id}
    assert await relay.claims(port) == {"compute-1": "shim"}
    status = await relay.until_status("Port", port)
    assert status["applied"] == relay.objects["Port", port]
    assert status["reason"] is None
    assert backend.binds(port) == ["bind_port"]


async def test_the_servers_record_of_the_answer_is_no_news(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.until_status("Port", port)
    await relay.bind(port)
    await relay.answer(port)

    details = '{"port_filter": false, "bridge_name": "br-gluon"}'
    await relay.port(port, vif_type="ovs", vif_details=details, status="ACTIVE")
    await relay.until_status("Port", port)
    assert backend.names(port) == ["modify_port", "bind_port"]

    await relay.port(port, name="web")
    await relay.until_status("Port", port)
    assert backend.names(port) == ["modify_port", "bind_port", "modify_port"]
    assert backend.last("modify_port").name == "web"


async def test_ports_of_other_hosts_are_not_bound(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend, hosts=frozenset({"compute-1"}))
    elsewhere, here = await relay.port(), await relay.port()

    await relay.bind(elsewhere, "compute-2")
    await relay.bind(here, "compute-1")

    await relay.answer(here)
    await relay.until_status("Port", elsewhere)
    assert backend.count("bind_port", elsewhere) == 0
    assert await relay.claims(elsewhere) == {}


async def test_an_unbind_gives_the_claim_back_after_the_backend_let_go(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port)
    await relay.answer(port)
    may_end = asyncio.Event()
    backend.on("unbind_port", lambda view: may_end.wait())

    await relay.unbind(port)

    await backend.until("unbind_port", port)
    assert backend.last("unbind_port").host_id == "compute-1"
    assert await relay.claims(port) == {"compute-1": "shim"}
    may_end.set()
    status = await relay.until_status("Port", port)
    assert await relay.claims(port) == {}
    assert "binding" not in status


async def test_a_port_that_moves_is_let_go_of_before_it_is_bound_elsewhere(
    relay: Relaying, shims: Shims
) -> None:
    old, new = Recorder(), Recorder()
    await shims.ready(old, name="old", hosts=frozenset({"compute-1"}))
    await shims.ready(new, name="new", hosts=frozenset({"compute-2"}), claim_wait=30.0)
    port = await relay.port()
    await relay.bind(port, "compute-1")
    await relay.answer(port)
    may_end = asyncio.Event()
    old.on("unbind_port", lambda view: may_end.wait())

    await relay.bind(port, "compute-2")

    await old.until("unbind_port", port)
    assert new.count("bind_port") == 0
    may_end.set()
    assert (await relay.answer(port))["controller"] == "new"
    assert await relay.claims(port) == {"compute-2": "new"}
    assert old.binds(port) == ["bind_port", "unbind_port"]


async def test_a_last_host_that_never_lets_go_is_not_waited_for_longer_than_claim_wait(
    relay: Relaying, shims: Shims
) -> None:
    old, new = Recorder(), Recorder()
    await shims.ready(old, name="old", hosts=frozenset({"compute-1"}))
    await shims.ready(new, name="new", hosts=frozenset({"compute-2"}), claim_wait=0.3)
    port = await relay.port()
    await relay.bind(port, "compute-1")
    await relay.answer(port)
    ended = asyncio.Event()
    old.on("unbind_port", lambda view: ended.wait())

    await relay.bind(port, "compute-2")

    assert (await relay.answer(port))["controller"] == "new"
    ended.set()


async def test_a_move_between_two_hosts_of_one_shim(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "compute-1")
    await relay.answer(port)

    await relay.bind(port, "compute-2")

    await relay.answer(port)
    assert backend.binds(port) == ["bind_port", "unbind_port", "bind_port"]
    assert backend.last("unbind_port").host_id == "compute-1"
    assert backend.last("bind_port").host_id == "compute-2"
    assert await relay.claims(port) == {"compute-2": "shim"}


async def test_a_refused_bind_is_answered_at_once_and_stays_refused(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    backend.on("bind_port", PermanentError("no such bridge"))
    await shims.ready(backend)
    port = await relay.port()
    await relay.until_status("Port", port)

    bind_id = await relay.bind(port)

    answer = await relay.answer(port)
    assert answer == {"rejected": "no such bridge", "controller": "shim", "bind_id": bind_id}
    assert await relay.claims(port) == {}
    await relay.port(port, vif_type="binding_failed", name="renamed")
    status = await relay.until_status("Port", port, "FAILED")
    assert status["reason"] == "no such bridge"
    assert backend.names(port) == ["modify_port", "bind_port", "modify_port"]

    backend.on("bind_port", None)
    await relay.bind(port)
    assert (await relay.answer(port))["vif_type"] == "ovs"
    await relay.until_status("Port", port)


async def test_a_bind_that_fails_for_now_is_tried_again_and_answered(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    tries = iter([TemporaryError("busy", delay=0.05), TemporaryError("busy")])

    def reaction(view: View) -> None:
        error = next(tries, None)
        if error is not None:
            raise error

    backend.on("bind_port", reaction)
    await shims.ready(backend)
    port = await relay.port()

    await relay.bind(port)

    assert (await relay.answer(port))["vif_type"] == "ovs"
    assert backend.count("bind_port", port) == 3
    assert backend.count("unbind_port", port) == 0


async def test_what_is_no_vif_is_the_backends_fault(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    backend.on("bind_port", lambda view: {"vif_type": 7})
    await shims.ready(backend)
    port = await relay.port()

    await relay.bind(port)

    status = await relay.until_status("Port", port, "FAILED")
    assert status["reason"].startswith("internal error ")
    backend.on("bind_port", None)
    await relay.answer(port)


async def test_a_port_written_during_bind_port_is_answered_without_a_second_one(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()

    async def rename(view: View) -> None:
        await relay.port(port, name="renamed meanwhile")

    backend.on("bind_port", rename)
    bind_id = await relay.bind(port)

    assert (await relay.answer(port))["bind_id"] == bind_id
    await relay.until_status("Port", port)
    assert backend.count("bind_port", port) == 1
    assert backend.last("modify_port").name == "renamed meanwhile"


async def test_an_answer_is_never_written_for_a_bind_that_is_over(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.until_status("Port", port)
    first = True

    async def unbind(view: View) -> None:
        nonlocal first
        if first:
            first = False
            await relay.unbind(port)

    backend.on("bind_port", unbind)
    await relay.bind(port)

    await backend.until("unbind_port", port)
    await relay.until_status("Port", port)
    assert await relay.value(relay.keys.answer("net-l3vpn", "Port", port)) is None
    assert await relay.claims(port) == {}


async def test_a_deleted_port_is_unbound_and_leaves_nothing(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port)
    await relay.answer(port)

    await relay.delete("Port", port)

    await relay.until_forgotten("Port", port)
    assert backend.binds(port) == ["bind_port", "unbind_port", "delete_port"]
    assert backend.last("delete_port").host_id == "compute-1"
    assert backend.last("delete_port").departed
    assert await relay.claims(port) == {}


async def test_of_shims_with_the_same_hosts_only_the_one_with_the_claim_binds(
    relay: Relaying, shims: Shims
) -> None:
    backends = [Recorder(), Recorder()]
    for number, backend in enumerate(backends):
        await shims.ready(backend, name=f"shim-{number}")
    ports = [await relay.port() for _ in range(20)]

    await asyncio.gather(*(relay.bind(port) for port in ports))

    for port in ports:
        answer = await relay.answer(port)
        assert await relay.claims(port) == {"compute-1": answer["controller"]}
        assert sum(backend.count("bind_port", port) for backend in backends) == 1


async def test_a_bind_whose_shim_went_before_the_answer_is_taken_over(relay: Relaying, shims: Shims) -> None:
    first, second = Recorder(), Recorder()
    first.on("bind_port", TemporaryError("not yet", delay=3600))
    leaving = await shims.ready(first, name="first")
    port = await relay.port()
    await relay.bind(port)
    await first.until("bind_port", port)
    await shims.ready(second, name="second")

    await shims.stop(leaving)

    assert (await relay.answer(port))["controller"] == "second"


async def test_a_port_that_another_has_bound_is_left_alone_when_that_one_goes(
    relay: Relaying, shims: Shims
) -> None:
    first, second = Recorder(), Recorder()
    leaving = await shims.ready(first, name="first")
    bound = await relay.port()
    await relay.bind(bound)
    answer = await relay.answer(bound)
    await shims.ready(second, name="second")

    await shims.stop(leaving)
    asked = await relay.port()
    await relay.bind(asked)

    assert (await relay.answer(asked))["controller"] == "second"
    assert await relay.answer(bound) == answer
    assert second.count("bind_port", bound) == 0


async def test_a_plain_function_that_blocks_stops_nobody(relay: Relaying, shims: Shims) -> None:
    go_on = threading.Event()
    stuck = str(uuid.uuid4())

    class Blocking:
        def __init__(self) -> None:
            self.bound: list[str] = []

        def bind_port(self, port: View) -> object:
            if port.key == stuck:
                go_on.wait(60)
            self.bound.append(port.key)
            return VIF

    backend = Blocking()
    await shims.ready(backend)
    await relay.port(stuck)
    ports = [await relay.port() for _ in range(10)]

    await relay.bind(stuck)
    for port in ports:
        await relay.bind(port)

    for port in ports:
        await relay.answer(port)
    assert stuck not in backend.bound
    go_on.set()
    await relay.answer(stuck)
