"""Inactive bindings: a port made ready on another host, used there, and let go of where it came from."""

from __future__ import annotations

import asyncio
import json

import pytest

from gluon.shim.backends.dummy import VIF
from gluon.shim.errors import PermanentError, TemporaryError
from shim.relaying import Relaying, until
from shim.running import ActivatingRecorder, Recorder, Shims

ONE, TWO = frozenset({"h1"}), frozenset({"h2"})


async def two_shims(
    relay: Relaying, shims: Shims, destination: Recorder | None = None
) -> tuple[Recorder, Recorder, str]:
    """Backends of shims of two hosts, and a port that is bound on the first."""
    old, new = Recorder(), destination or ActivatingRecorder()
    await shims.ready(old, name="old", hosts=ONE)
    await shims.ready(new, name="new", hosts=TWO, claim_wait=30.0)
    port = await relay.port(profile='{"of": "h1"}')
    await relay.bind(port, "h1")
    await relay.answer(port)
    await relay.until_status("Port", port, controller="old")
    await relay.until_status("Port", port, controller="new")
    return old, new, port


async def test_it_is_bound_while_the_active_one_stays(relay: Relaying, shims: Shims) -> None:
    old, new, port = await two_shims(relay, shims)

    bind_id = await relay.make_ready(port, "h2", profile='{"of": "h2"}')

    answer = await relay.answer(port, bind_id, "h2")
    assert answer == {**VIF, "controller": "new", "bind_id": bind_id}
    assert await relay.claims(port) == {"h1": "old", "h2": "new"}
    seen = new.last("bind_port")
    assert (seen.host_id, seen.bind_id, seen.profile) == ("h2", bind_id, '{"of": "h2"}')
    assert (seen.binding_active, seen.mac_address) == (False, "c8:2a:14:04:43:80")
    status = await relay.until_status("Port", port, controller="new")
    assert [(b["host"], b["phase"], b["active"]) for b in status["inactive"]] == [("h2", "bound", False)]
    assert old.binds(port) == ["bind_port"]
    assert old.last("bind_port").binding_active


async def test_activating_unbinds_nothing_and_deleting_unbinds_that_host_only(
    relay: Relaying, shims: Shims
) -> None:
    old, new, port = await two_shims(relay, shims)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")

    await relay.activate(port, "h2")

    await new.until("activate_port", port)
    seen = new.last("activate_port")
    assert (seen.host_id, seen.bind_id, seen.binding_active) == ("h2", bind_id, True)
    status = await relay.until_status("Port", port, controller="new")
    assert (status["binding"]["host"], status["binding"]["active"]) == ("h2", True)
    assert "inactive" not in status
    status = await relay.until_status("Port", port, controller="old")
    assert [b["host"] for b in status["inactive"]] == ["h1"]
    assert await relay.claims(port) == {"h1": "old", "h2": "new"}
    assert (old.binds(port), new.binds(port)) == (["bind_port"], ["bind_port", "activate_port"])

    await relay.end(port, "h1")

    await old.until("unbind_port", port)
    seen = old.last("unbind_port")
    assert (seen.host_id, seen.binding_active) == ("h1", False)
    await relay.until_status("Port", port, controller="old")
    assert await relay.claims(port) == {"h2": "new"}
    assert new.binds(port) == ["bind_port", "activate_port"]


async def test_a_backend_that_knows_no_activation_is_asked_to_modify(relay: Relaying, shims: Shims) -> None:
    _, new, port = await two_shims(relay, shims, Recorder())
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.until_status("Port", port, controller="new")

    await relay.activate(port, "h2")

    status = await relay.until_status("Port", port, controller="new")
    assert status["binding"]["active"]
    seen = new.last("modify_port")
    assert (seen.host_id, seen.binding_active) == ("h2", True)
    assert new.binds(port) == ["bind_port"]


async def test_a_move_that_fails_ends_on_the_destination_only(relay: Relaying, shims: Shims) -> None:
    old, new, port = await two_shims(relay, shims)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")

    await relay.end(port, "h2")

    await new.until("unbind_port", port)
    seen = new.last("unbind_port")
    assert (seen.host_id, seen.binding_active) == ("h2", False)
    await relay.until_status("Port", port, controller="new")
    assert await relay.claims(port) == {"h1": "old"}
    assert old.binds(port) == ["bind_port"]


async def test_a_whole_move_that_was_slept_through_unbinds_what_is_left(
    relay: Relaying, shims: Shims
) -> None:
    old = Recorder()
    source = await shims.ready(old, name="old", hosts=ONE)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    await relay.until_status("Port", port, controller="old")
    await shims.stop(source)
    new = ActivatingRecorder()
    await shims.ready(new, name="new", hosts=TWO)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.activate(port, "h2")
    await relay.end(port, "h1")

    await shims.ready(old, name="old", hosts=ONE)

    await old.until("unbind_port", port)
    seen = old.last("unbind_port")
    assert (seen.host_id, seen.binding_active) == ("h1", False)
    await relay.until_status("Port", port, controller="old")
    assert await relay.claims(port) == {"h2": "new"}


async def test_a_migration_between_two_hosts_of_one_shim(relay: Relaying, shims: Shims) -> None:
    backend = ActivatingRecorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.activate(port, "h2")
    await backend.until("activate_port", port)
    assert await relay.claims(port) == {"h1": "shim", "h2": "shim"}

    await relay.end(port, "h1")

    await backend.until("unbind_port", port)
    await relay.until_status("Port", port)
    assert backend.binds(port) == ["bind_port", "bind_port", "activate_port", "unbind_port"]
    assert backend.last("unbind_port").host_id == "h1"
    assert not backend.last("unbind_port").binding_active
    assert await relay.claims(port) == {"h2": "shim"}


async def test_back_and_forth(relay: Relaying, shims: Shims) -> None:
    backend = ActivatingRecorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")

    for turn, host in enumerate(("h2", "h1", "h2"), 1):
        await relay.activate(port, host)
        await backend.until("activate_port", port, turn)
        assert backend.last("activate_port").host_id == host
        await relay.until_status("Port", port)

    assert backend.count("bind_port", port) == 2
    assert backend.count("unbind_port", port) == 0


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_port_that_goes_is_unbound_everywhere(relay: Relaying, shims: Shims, deleted: bool) -> None:
    old, new, port = await two_shims(relay, shims)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")

    if deleted:
        await relay.delete("Port", port)
    else:
        await relay.unbind(port)

    for backend, active in ((old, True), (new, False)):
        await backend.until("unbind_port", port)
        assert backend.last("unbind_port").binding_active is active
    if deleted:
        await relay.until_forgotten("Port", port, "old")
        await relay.until_forgotten("Port", port, "new")
        assert new.binds(port)[-2:] == ["unbind_port", "delete_port"]
    await until(lambda: _no_claims(relay, port), "the end of the claims")


async def _no_claims(relay: Relaying, port: str) -> bool:
    return await relay.claims(port) == {}


async def test_one_that_is_refused_is_nothing_against_the_port(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    backend.on("bind_port", PermanentError("no such bridge"))

    bind_id = await relay.make_ready(port, "h2")

    answer = await relay.answer(port, bind_id, "h2")
    assert answer == {"rejected": "no such bridge", "controller": "shim", "bind_id": bind_id}
    status = await relay.until_status("Port", port)
    assert status["reason"] == "binding on h2: no such bridge"
    assert await relay.claims(port) == {"h1": "shim"}
    await relay.end(port, "h2")
    status = await relay.until_status("Port", port)
    assert status["reason"] is None
    assert backend.count("unbind_port") == 0


async def test_one_that_fails_for_now_is_tried_again_and_holds_up_nothing(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    backend.on("bind_port", TemporaryError("busy", delay=3600))
    bind_id = await relay.make_ready(port, "h2")
    await backend.until("bind_port", port, 2)

    await relay.port(port, name="renamed")

    status = await relay.until_status("Port", port)
    await until(lambda: backend.last("modify_port").name == "renamed", "the change")
    assert status["state"] == "APPLIED"
    status = await until(lambda: _with_reason(relay, port), "the reason")
    assert status["reason"] == "binding on h2: busy"
    backend.on("bind_port", None)
    await relay.port(port, name="again")
    assert (await relay.answer(port, bind_id, "h2"))["vif_type"] == "ovs"


async def _with_reason(relay: Relaying, port: str) -> dict[str, object] | None:
    status = await relay.status("Port", port)
    return status if status is not None and status["reason"] else None


async def test_an_activation_that_was_not_written_down_is_told_again_after_a_restart(
    relay: Relaying, shims: Shims
) -> None:
    backend = ActivatingRecorder()
    server = await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    backend.on("activate_port", TemporaryError("not yet", delay=3600))
    await relay.activate(port, "h2")
    await backend.until("activate_port", port)
    await shims.stop(server)
    backend.on("activate_port", None)

    await shims.ready(backend)

    await backend.until("activate_port", port, 2)
    status = await relay.until_status("Port", port)
    assert status["binding"]["active"]
    assert backend.count("bind_port", port) == 2
    assert backend.count("unbind_port", port) == 0


async def test_a_restart_repeats_nothing(relay: Relaying, shims: Shims) -> None:
    backend = ActivatingRecorder()
    server = await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.until_status("Port", port)
    calls = list(backend.calls)
    await shims.stop(server)

    server = await shims.ready(backend)

    await until(lambda: _claimed(relay, port, 2), "the claims")
    assert backend.calls == calls
    serving = server.service("net-l3vpn")
    assert serving is not None
    desired = serving._desired
    assert [view.host_id for view in desired.bound_ports] == ["h1"]
    assert [(view.host_id, view.binding_active) for view in desired.inactive_ports] == [("h2", False)]


async def _claimed(relay: Relaying, port: str, count: int) -> bool:
    return len(await relay.claims(port)) == count


async def test_a_backend_that_keeps_nothing_is_told_of_all_bindings_again(
    relay: Relaying, shims: Shims
) -> None:
    backend = ActivatingRecorder()
    backend.replay = True
    server = await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.until_status("Port", port)
    await shims.stop(server)

    await shims.ready(backend)

    await backend.until("bind_port", port, 4)
    assert {
        view.host_id for (n, _), view in zip(backend.calls, backend.views, strict=True) if n == "bind_port"
    }
    hosts = [v.host_id for (n, _), v in zip(backend.calls, backend.views, strict=True) if n == "bind_port"]
    assert hosts == ["h1", "h2", "h1", "h2"]


async def test_of_shims_that_serve_all_hosts_one_makes_the_port_ready(relay: Relaying, shims: Shims) -> None:
    backends = [Recorder(), Recorder()]
    for number, backend in enumerate(backends):
        await shims.ready(backend, name=f"shim-{number}")
    ports = [await relay.port() for _ in range(10)]
    await asyncio.gather(*(relay.bind(port, "h1") for port in ports))
    for port in ports:
        await relay.answer(port)

    binds = [await relay.make_ready(port, "h2") for port in ports]

    for port, bind_id in zip(ports, binds, strict=True):
        answer = await relay.answer(port, bind_id, "h2")
        assert (await relay.claims(port))["h2"] == answer["controller"]
        assert sum(backend.count("bind_port", port) for backend in backends) == 2


async def test_the_servers_record_of_an_answer_is_no_news(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    bind_id = await relay.make_ready(port, "h2")
    await relay.answer(port, bind_id, "h2")
    await relay.until_status("Port", port)
    before = backend.names(port)

    (binding,) = relay.objects["Port", port]["bindings"]
    recorded = {**binding, "vif_type": "ovs", "vif_details": json.dumps(VIF["vif_details"])}
    await relay.port(port, bindings=[recorded])

    await relay.until_status("Port", port)
    assert backend.names(port) == before


async def test_entries_from_before_there_were_inactive_bindings_still_count(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    server = await shims.ready(backend)
    port = await relay.port()
    await relay.bind(port, "h1")
    await relay.answer(port)
    await shims.stop(server)
    key = relay.keys.status("net-l3vpn", "Port", port, "shim")
    entry = await relay.value(key)
    assert entry is not None
    del entry["binding"]["active"]
    await relay.etcd.put(key, json.dumps(entry).encode())

    await shims.ready(backend)

    await until(lambda: _claimed(relay, port, 1), "the claim")
    assert backend.binds(port) == ["bind_port"]
    await relay.unbind(port)
    await backend.until("unbind_port", port)
