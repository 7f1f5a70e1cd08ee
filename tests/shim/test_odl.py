"""The OpenDaylight backend in a shim server, on etcd and a controller whose data real YANG validates."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from gluon.shim.backend import BackendContext
from gluon.shim.backends.odl.backend import OdlBackend
from gluon.shim.backends.odl.options import load_odl_settings
from gluon.shim.errors import BadConfiguration, TemporaryError
from gluon.shim.options import list_opts
from gluon.shim.server import ShimServer
from servers.certificates import Certificates
from servers.restconf import RestconfServer
from shim.relaying import Relaying, until
from shim.running import Shims

FOREIGN = "11111111-2222-3333-4444-555555555555"
FIRST = ("network", "subnet", "vpn-instance", "port", "interface", "vpn-interface")


def configured(**options: Any) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group, found in list_opts():
        # Else oslo.config shares what is set among all ConfigOpts of the process.
        conf.register_opts(found, group=copy.deepcopy(group))
    conf([], default_config_files=[], default_config_dirs=[])
    quick = {"audit_interval": 600.0, "stray_delay": 0.0, "timeout": 5.0}
    for name, value in {**quick, **options}.items():
        conf.set_override(name, value, group="shim_odl")
    return conf


class Site:
    """A controller, and shim servers that drive it."""

    def __init__(self, relay: Relaying, shims: Shims) -> None:
        self.relay = relay
        self.shims = shims
        self.controllers: list[RestconfServer] = []

    async def controller(self, **arguments: Any) -> RestconfServer:
        made = RestconfServer(**arguments)
        await made.start()
        self.controllers.append(made)
        return made

    def backend(self, controller: RestconfServer, hosts: str = "*", **options: Any) -> OdlBackend:
        conf = configured(odl_port=controller.port, **options)
        conf.set_override("host_list", [hosts], group="shim")
        return OdlBackend(BackendContext("net-l3vpn", "shim", conf))

    async def shim(self, controller: RestconfServer, **options: Any) -> ShimServer:
        return await self.shims.ready(self.backend(controller, **options))

    async def pending(self, object_name: str, key: str) -> str:
        """Why an object is pending, once there is a reason."""

        async def found() -> str | None:
            status = await self.relay.status(object_name, key)
            pending = status is not None and status["state"] == "PENDING"
            return status["reason"] if status is not None and pending else None

        return await until(found, f"why {object_name} {key} is pending")

    async def vpn(self, target: str = "64512:1", **attributes: Any) -> str:
        await self.relay.put("VpnAfConfig", vrf_rt_value=target, vrf_rt_type="both")
        return await self.relay.vpn(ipv4_family=target, route_distinguishers="64512:100", **attributes)

    async def port(self, vpn: str, address: str = "10.1.2.5", host: str = "compute-1") -> str:
        port = await self.relay.port()
        await self.relay.interface(port)
        await self.relay.binding(port, vpn, ipaddress=address, subnet_prefix=24, gateway="10.1.2.1")
        await self.relay.bind(port, host)
        return port


@pytest.fixture
async def site(relay: Relaying, shims: Shims) -> AsyncIterator[Site]:
    made = Site(relay, shims)
    yield made
    await shims.stop()
    refused = [text for controller in made.controllers for text in controller.refused]
    for controller in made.controllers:
        await controller.stop()
    assert not refused, "requests that a real controller refuses"


CONTROLLERS: list[dict[str, Any]] = [
    {},
    {"root": "/restconf", "further_modules": ("l3vpn",)},
    {"root": None, "draft": True, "older": True},
]


@pytest.mark.parametrize("kind", CONTROLLERS, ids=["rests", "restconf", "draft with the older module"])
async def test_a_port_is_bound_changed_unbound_and_deleted(site: Site, kind: dict[str, Any]) -> None:
    relay, controller = site.relay, await site.controller(**kind)
    older = controller.yang.modules[-1] != "l3vpn-instances-interfaces"
    await site.shim(controller)
    vpn = await site.vpn()
    port = await site.port(vpn)
    answer = await relay.answer(port)
    assert answer["vif_type"] == "ovs"
    assert answer["vif_details"]["bridge_name"] == "br-int" and answer["vif_details"]["port_filter"] is False
    await until(lambda: controller.entries("vpn-interface"), "the VPN interface")
    for list_name in FIRST:
        assert len(controller.entries(list_name)) == 1, list_name
    interface = controller.entries("interface")[port]
    assert interface["odl-interface:parent-interface"] == f"tap{port[:11]}"
    in_vpn = controller.entries("vpn-interface")[port]
    adjacency = in_vpn["odl-l3vpn:adjacency" if older else "adjacency"][0]
    assert (adjacency["ip_address"], adjacency["subnet_gateway_ip"]) == ("10.1.2.5/32", "10.1.2.1")
    instance = controller.entries("vpn-instance")[vpn]
    targets = (instance["ipv4-family"] if older else instance)["vpnTargets"]["vpnTarget"]
    assert targets == [{"vrfRTValue": "64512:1", "vrfRTType": "both"}]
    subnet = next(iter(controller.entries("subnet").values()))
    assert (subnet["cidr"], subnet["gateway-ip"]) == ("10.1.2.0/24", "10.1.2.1")

    controller.requests.clear()
    await relay.put("VpnAfConfig", "64512:1", vrf_rt_type="import_extcommunity")
    await until(
        lambda: "import_extcommunity" in str(controller.entries("vpn-instance")),
        "the route target's new type",
    )
    assert len(controller.writes()) == 1, "one entry has changed"

    await relay.unbind(port)
    await until(lambda: not controller.entries("interface"), "the end of the interface")
    assert not controller.entries("vpn-interface") and len(controller.entries("port")) == 1
    for name, key in [
        *((n, k) for n, k in relay.objects if n in ("VpnBinding", "Interface")),
        ("Port", port),
    ]:
        await relay.delete(name, key)
    await until(lambda: not controller.entries("port") and not controller.entries("subnet"), "the port's end")
    await relay.delete("VpnService", vpn)
    await until(lambda: not controller.entries("network"), "the end of the VPN")
    assert not any(controller.entries(list_name) for list_name in FIRST)


async def test_a_vlan_interface_is_a_member_of_the_trunk(site: Site) -> None:
    relay, controller = site.relay, await site.controller()
    await site.shim(controller)
    port = await site.port(await site.vpn())
    member = await relay.put("Interface", port_id=port, segmentation_type="vlan", segmentation_id=100)
    await relay.binding(member, await site.vpn("64512:2"), ipaddress="10.1.2.5", subnet_prefix=24)
    await until(lambda: len(controller.entries("vpn-interface")) == 2, "both VPN interfaces")
    described = controller.entries("interface")[member]
    assert described["odl-interface:vlan-id"] == 100
    assert described["odl-interface:parent-interface"] == port
    assert len(controller.entries("network")) == len(controller.entries("subnet")) == 2
    await relay.delete("Interface", member)
    await until(lambda: member not in controller.entries("interface"), "the end of the VLAN")
    assert port in controller.entries("vpn-interface")


async def test_a_restart_writes_nothing_and_removes_strays(site: Site) -> None:
    controller = await site.controller()
    server = await site.shim(controller)
    vpn = await site.vpn()
    port = await site.port(vpn)
    await site.relay.until_status("Port", port)
    gone = await site.port(vpn, "10.1.2.6")
    await site.relay.until_status("Port", gone)
    await site.shims.stop(server)
    for name, key in [(n, k) for n, k in site.relay.objects if k == gone or n == "VpnBinding"]:
        if name != "VpnBinding" or site.relay.objects[name, key]["interface_id"] == gone:
            await site.relay.delete(name, key)
    foreign = {"uuid": FOREIGN, "name": "somebody's"}
    for list_name in ("network", "subnet", "port"):
        controller.put(list_name, foreign)
    controller.put("interface", {"name": FOREIGN, "type": "iana-if-type:l2vlan"})
    controller.put("vpn-instance", {"vpn-instance-name": FOREIGN})
    controller.put("vpn-interface", {"name": FOREIGN})
    controller.requests.clear()
    await site.shim(controller)
    await until(lambda: gone not in controller.entries("port"), "the end of the stray")
    await until(lambda: gone not in controller.entries("interface"), "the end of the stray")
    assert port in controller.entries("vpn-interface")
    for list_name in FIRST:
        assert FOREIGN in controller.entries(list_name), f"another's {list_name}"
    assert {method for method, _ in controller.writes()} == {"DELETE"}
    assert all(gone in path for _, path in controller.writes())


async def test_what_others_change_or_a_controller_forgets_is_written_again(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller, audit_interval=0.3)
    vpn = await site.vpn()
    port = await site.port(vpn)
    await site.relay.until_status("Port", port)
    controller.put("vpn-instance", {"vpn-instance-name": vpn, "route-distinguisher": ["1:1"]})
    await until(lambda: "64512:1'" in str(controller.entries("vpn-instance")), "the route target")
    controller.forget()
    await until(lambda: port in controller.entries("vpn-interface"), "everything")
    assert all(len(controller.entries(list_name)) == 1 for list_name in FIRST)


async def test_a_controller_that_was_away_and_has_forgotten_gets_everything(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller)
    vpn = await site.vpn()
    first = await site.port(vpn)
    await site.relay.until_status("Port", first)
    await controller.stop()
    controller.forget()
    second = await site.port(vpn, "10.1.2.6")
    assert await site.pending("Port", second) == "OpenDaylight can't be reached"
    await controller.start()
    await site.relay.answer(second)
    await until(lambda: set(controller.entries("vpn-interface")) == {first, second}, "both ports")


async def test_a_refused_password_is_said_and_not_tried_all_the_time(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller)
    vpn = await site.vpn()
    await site.relay.until_status("VpnService", vpn)
    controller.password = "another"
    controller.requests.clear()
    port = await site.port(vpn)
    assert await site.pending("Port", port) == "OpenDaylight refuses the shim server's user and password"
    await asyncio.sleep(0.5)
    assert len(controller.requests) <= 2, "an account is locked by those who keep trying"
    controller.password = "admin"
    await site.relay.answer(port)


@pytest.mark.parametrize(
    ("status", "tag", "said"),
    [
        (409, "in-use", "written by another"),
        (500, "operation-failed", "has failed"),
        (503, "x", "has failed"),
    ],
)
async def test_faults_are_tried_again(site: Site, status: int, tag: str, said: str) -> None:
    controller = await site.controller()
    await site.shim(controller)
    error = {"errors": {"error": [{"error-tag": tag, "error-message": "Optimistic lock failed"}]}}
    controller.fault = lambda method, path: (status, error) if method == "PUT" else None
    vpn = await site.vpn()
    reason = await site.pending("VpnService", vpn)
    assert said in reason and "Optimistic lock failed" in reason
    controller.fault = None
    await site.relay.until_status("VpnService", vpn)


async def test_a_refused_entry_fails_its_object_only(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller)
    error = {"errors": {"error": [{"error-tag": "invalid-value", "error-message": "no such VPN for you"}]}}
    bad, good = await site.relay.vpn(), ""
    await site.relay.until_status("VpnService", bad)
    controller.fault = lambda method, path: (400, error) if method == "PUT" and bad in path else None
    await site.relay.put("VpnService", bad, route_distinguishers="64512:7")
    entry = await site.relay.until_status("VpnService", bad, "FAILED")
    assert "no such VPN for you" in entry["reason"]
    good = await site.vpn()
    await site.relay.answer(await site.port(good))


async def test_a_slow_answer_is_given_up_and_asked_for_again(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller, timeout=0.5)
    controller.delay = 2.0
    vpn = await site.vpn()
    assert await site.pending("VpnService", vpn) == "OpenDaylight hasn't answered within 0.5 s"
    controller.delay = 0.0
    await site.relay.until_status("VpnService", vpn)


async def test_a_move_changes_the_host_only(site: Site) -> None:
    controller = await site.controller()
    await site.shim(controller)
    port = await site.port(await site.vpn())
    await site.relay.answer(port)
    await site.relay.make_ready(port, "compute-2")
    await site.relay.answer(port, site.relay.objects["Port", port]["bindings"][0]["bind_id"], "compute-2")
    assert controller.entries("port")[port]["neutron-binding:host-id"] == "compute-1"
    controller.requests.clear()
    await site.relay.activate(port, "compute-2")
    await until(
        lambda: controller.entries("port")[port]["neutron-binding:host-id"] == "compute-2", "the new host"
    )
    await site.relay.end(port, "compute-1")
    await site.relay.until_status("Port", port)
    assert len(controller.writes()) == 1 and port in controller.entries("vpn-interface")


async def test_other_shims_hosts_are_left_to_them(site: Site) -> None:
    controller = await site.controller()
    backend = site.backend(controller, "compute-1")
    await site.shims.ready(backend, hosts=frozenset({"compute-1"}))
    vpn = await site.vpn()
    other = await site.port(vpn, "10.1.2.6", "compute-2")
    own = await site.port(vpn)
    await site.relay.until_status("Port", own)
    await site.relay.until_status("Port", other)
    assert set(controller.entries("interface")) == {own}


async def test_unusable_controllers_are_said_to_be(site: Site) -> None:
    controller = await site.controller(root=None, draft=True)
    with pytest.raises(TemporaryError, match="doesn't tell which YANG modules"):
        await site.backend(controller, restconf="rfc8040").check()
    with pytest.raises(TemporaryError, match="has no YANG module l3vpn:"):
        await site.backend(controller, l3vpn_module="l3vpn").check()
    said = await site.backend(controller).check()
    assert said.endswith("draft under /restconf, VPNs by l3vpn-instances-interfaces")


async def test_tls(site: Site, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "right")
    controller = await site.controller(certificates=certificates)
    trusting = site.backend(controller, https=True, ca_file=str(certificates.ca))
    assert "rfc8040 under /rests" in await trusting.check()
    wrong = Certificates(tmp_path / "wrong")
    with pytest.raises(TemporaryError, match="can't be reached"):
        await site.backend(controller, https=True, ca_file=str(wrong.ca)).check()


def test_settings_are_checked() -> None:
    settings = load_odl_settings(configured(odl_host="::1", https=True))
    assert settings.url == "https://[::1]:8181" and settings.owner == "gluon"
    with pytest.raises(BadConfiguration, match="without https"):
        load_odl_settings(configured(ca_file="/x"))
    with pytest.raises(BadConfiguration, match="there is no file /x"):
        load_odl_settings(configured(ca_file="/x", https=True))
    with pytest.raises(BadConfiguration, match="no slash"):
        load_odl_settings(configured(owner="a/b"))
