"""What the backend is asked, in which order, and what becomes of its errors."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from gluon.model.catalog import load_catalog
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.views import View
from shim.relaying import Relaying, until
from shim.running import Recorder, Shims


async def test_a_service_comes_before_its_bindings_and_these_before_the_port(
    relay: Relaying, shims: Shims
) -> None:
    vpn = await relay.vpn()
    port = await relay.port()
    await relay.interface(port)
    await relay.binding(port, vpn)
    await relay.bind(port)
    backend = Recorder()

    async def slowly(view: View) -> None:
        await asyncio.sleep(0.05)

    for callback in ("modify_service", "modify_interface", "modify_service_binding"):
        backend.on(callback, slowly)

    await shims.ready(backend)

    await relay.answer(port)
    assert backend.names() == ["modify_service", "modify_interface", "modify_service_binding", "bind_port"]


async def test_deletions_go_the_other_way_round(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    vpn, port = await relay.vpn(), await relay.port()
    await relay.interface(port)
    await relay.binding(port, vpn)
    await relay.bind(port)
    await relay.answer(port)
    for name, key in (("VpnService", vpn), ("Interface", port), ("VpnBinding", port)):
        await relay.until_status(name, key)
    backend.calls.clear()

    async def slowly(view: View) -> None:
        await asyncio.sleep(0.05)

    for callback in ("unbind_port", "delete_port", "delete_interface"):
        backend.on(callback, slowly)
    services = []
    backend.on("delete_service_binding", lambda binding: services.append(binding.service.name))
    # All at once, as a cascade is written.
    await relay.etcd.delete_prefix(relay.keys.objects("net-l3vpn"))

    await backend.until("delete_service", vpn)
    await backend.until("delete_interface", port)
    assert backend.names()[:3] == ["unbind_port", "delete_port", "delete_service_binding"]
    assert sorted(backend.names()[3:]) == ["delete_interface", "delete_service"]
    assert services == ["vpn"]
    for name, key in (("VpnService", vpn), ("Interface", port), ("VpnBinding", port), ("Port", port)):
        await relay.until_forgotten(name, key)


async def test_objects_of_other_kinds_are_told_as_well(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    fields = {"local_ip_address": "10.0.0.1", "peer_ip_address": "10.0.0.2", "as_number": 64512}
    peering = await relay.put("BGPPeering", **fields)
    await backend.until("modify_object", peering)
    assert backend.last("modify_object").as_number == 64512
    await relay.until_status("BGPPeering", peering)
    await relay.delete("BGPPeering", peering)
    await backend.until("delete_object", peering)


async def test_a_temporary_error_is_shown_to_the_owner_and_tried_again(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    backend.on("modify_service", TemporaryError("the controller restarts", delay=0.2))
    await shims.ready(backend)

    vpn = await relay.vpn()

    status = await relay.until_status("VpnService", vpn, "PENDING")
    status = await until(lambda: _with_reason(relay, vpn), "a reason")
    assert status["reason"] == "the controller restarts"
    backend.on("modify_service", None)
    status = await relay.until_status("VpnService", vpn)
    assert status["reason"] is None


async def _with_reason(relay: Relaying, vpn: str) -> dict[str, object] | None:
    status = await relay.status("VpnService", vpn)
    return status if status is not None and status["reason"] else None


async def test_newer_state_ends_the_wait_after_a_failure(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    backend.on("modify_service", TemporaryError("later", delay=3600))
    await shims.ready(backend)
    vpn = await relay.vpn()
    await backend.until("modify_service", vpn)

    backend.on("modify_service", None)
    await relay.vpn(id=vpn, name="changed")

    await relay.until_status("VpnService", vpn)


async def test_a_permanent_error_is_not_tried_again_before_the_object_changes(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    backend.on("modify_service", PermanentError("route distinguisher in use"))
    await shims.ready(backend)
    vpn, port = await relay.vpn(), await relay.port()
    status = await relay.until_status("VpnService", vpn, "FAILED")
    assert status["reason"] == "route distinguisher in use"
    await relay.interface(port)
    await relay.binding(port, vpn)
    await relay.until_status("VpnBinding", port)
    assert backend.count("modify_service", vpn) == 1

    backend.on("modify_service", None)
    await relay.vpn(id=vpn, name="changed")
    await relay.until_status("VpnService", vpn)


async def test_of_an_unexpected_error_owners_see_only_an_id_that_the_log_has(
    relay: Relaying, shims: Shims, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Recorder()
    backend.on("modify_service", RuntimeError("password is hunter2"))
    await shims.ready(backend)

    vpn = await relay.vpn()

    await backend.until("modify_service", vpn, count=3)
    status = await relay.until_status("VpnService", vpn, "FAILED")
    assert "hunter2" not in str(status)
    fault = status["reason"].removeprefix("internal error ")
    logged = [r for r in caplog.records if fault in r.getMessage() and r.levelno == logging.ERROR]
    assert len(logged) == 1, "one that repeats itself is logged once"
    assert vpn in logged[0].getMessage()
    assert logged[0].exc_info
    backend.on("modify_service", None)
    await relay.until_status("VpnService", vpn)


async def test_a_callback_that_hangs_stops_no_other_object_and_is_tried_again(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    backend.on("modify_service", lambda view: asyncio.sleep(3600))
    await shims.ready(backend, parallel=4, callback_timeout=0.3)
    stuck = [await relay.vpn() for _ in range(6)]
    port = await relay.port()
    await relay.bind(port)
    await relay.answer(port)
    status = await until(lambda: _with_reason(relay, stuck[0]), "a reason")
    assert "has not returned within 0.3 s" in str(status["reason"])

    backend.on("modify_service", None)
    for vpn in stuck:
        await relay.until_status("VpnService", vpn)


async def test_one_objects_callbacks_never_overlap(relay: Relaying, shims: Shims) -> None:
    running: set[str] = set()
    overlaps: list[str] = []
    backend = Recorder()

    async def watched(view: View) -> None:
        if view.key in running:
            overlaps.append(view.key)
        running.add(view.key)
        await asyncio.sleep(0.01)
        running.remove(view.key)

    for callback in ("modify_port", "bind_port", "unbind_port"):
        backend.on(callback, watched)
    await shims.ready(backend)
    port = await relay.port()
    for number in range(10):
        await relay.port(port, name=str(number))
        await (relay.bind(port) if number % 2 else relay.unbind(port))
    await relay.until_status("Port", port)
    assert not overlaps
    assert backend.last("bind_port").name == "9"


async def test_many_changes_of_one_object_collapse_to_its_newest_state(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    may_end = asyncio.Event()
    backend.on("modify_service", lambda view: may_end.wait())
    await shims.ready(backend)
    vpn = await relay.vpn()
    await backend.until("modify_service", vpn)
    for number in range(20):
        await relay.vpn(id=vpn, name=f"name {number}")
    may_end.set()
    await relay.until_status("VpnService", vpn)
    assert backend.last("modify_service").name == "name 19"
    assert backend.count("modify_service", vpn) < 10


async def test_a_backend_hears_only_what_it_has_callbacks_for(relay: Relaying, shims: Shims) -> None:
    class OnlyServices:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def modify_service(self, service: View) -> None:
            self.seen.append(service.name)

    backend = OnlyServices()
    await shims.ready(backend)
    vpn, port = await relay.vpn(), await relay.port()
    await relay.bind(port)
    await relay.until_status("VpnService", vpn)
    await relay.until_status("Port", port)
    assert backend.seen == ["vpn"]
    assert await relay.claims(port) == {}


async def test_a_change_of_a_route_target_reaches_the_vpns_that_name_it(
    relay: Relaying, shims: Shims
) -> None:
    backend = Recorder()
    seen: dict[str, list[str]] = {}

    def remember(service: View) -> None:
        seen[service.key] = [f"{t.family} {t.value}" for t in service.route_targets]

    backend.on("modify_service", remember)
    await shims.ready(backend)
    naming = await relay.vpn(ipv4_family="1000:1000, 2000:1", ipv6_family="1000:1000")
    other = await relay.vpn(ipv4_family="3000:1")
    await relay.until_status("VpnService", naming)
    await relay.until_status("VpnService", other)

    await relay.put("VpnAfConfig", vrf_rt_value="1000:1000", vrf_rt_type="both")

    await backend.until("modify_service", naming, count=2)
    await until(lambda: seen[naming] == ["ipv4 1000:1000", "ipv6 1000:1000"])
    await relay.delete("VpnAfConfig", "1000:1000")
    await until(lambda: seen[naming] == [])
    assert backend.count("modify_service", other) == 1


async def test_values_that_make_no_sense_are_passed_over(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend)
    for value in (b"", b"[1, 2]", b"{", b'{"port_id": ["a", "list"]}', b"\xff"):
        await relay.etcd.put(relay.key("Interface", "broken"), value)
        await relay.etcd.put(relay.key("Port", "broken"), value)
        await relay.etcd.put(relay.keys.claim("net-l3vpn", "broken", "h"), value)
    await relay.etcd.put(relay.keys.objects("net-l3vpn") + "Port/too/many", b"{}")
    await relay.etcd.put(relay.keys.claims("net-l3vpn") + "too-few", b"{}")
    await relay.etcd.put(relay.keys.models() + "net-l3vpn/9.9", b"nonsense")
    vpn = await relay.vpn()
    await relay.until_status("VpnService", vpn)


PLAIN = """
file_version: "1.0"
info: {name: plain, version: "1.0"}
objects:
  Rule:
    api: {name: rule, plural_name: rules}
    attributes:
      number: {type: integer, primary: true}
      list: {type: List}
      next: {type: Rule}
  List:
    api: {name: list, plural_name: lists}
    attributes:
      id: {type: string, primary: true}
      first_id: {type: Rule}
"""


async def test_objects_of_a_model_without_ports_come_after_what_they_refer_to(
    relay: Relaying, shims: Shims, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "api.yaml").write_text(PLAIN)
    model = load_catalog(tmp_path, bundled=False).newest("plain")
    plain = Relaying(relay.etcd, relay.keys, model)
    await plain.publish()
    await plain.put("Rule", number=7, list="a b/c", next=8)
    await plain.put("Rule", number=8)
    await plain.put("List", id="a b/c", first_id=7)
    backend = Recorder()

    await shims.ready(backend, "plain")

    for name, key in (("Rule", "7"), ("Rule", "8"), ("List", "a b/c")):
        await plain.until_status(name, key)
    rules = {view.key: view for view in backend.views if view.object_name == "Rule"}
    assert rules["7"].next == 8
    assert rules["7"].follow("next") == rules["8"]
    assert rules["7"].follow("list").first == rules["7"]
    assert rules["8"].referrers("Rule") == (rules["7"],)
    await plain.delete("List", "a b/c")
    await backend.until("delete_object", "a b/c")
    await plain.until_forgotten("List", "a b/c")


async def test_a_backend_is_called_for_no_more_objects_at_a_time_than_it_takes(
    relay: Relaying, shims: Shims
) -> None:
    class Narrow(Recorder):
        parallel = 2
        running = most = 0

        async def modify_service(self, service: View) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.02)
            self.running -= 1

    backend = Narrow()
    await shims.ready(backend)
    vpns = [await relay.vpn() for _ in range(8)]
    for vpn in vpns:
        await relay.until_status("VpnService", vpn)
    assert backend.most == 2
