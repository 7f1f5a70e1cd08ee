"""A whole site on one machine: Gluon's servers, OVN, two hosts, and guests that come by Gluon's API only.

etcd, proton-server, proton-shim-server (OVN backend)
    → OVN's databases and ovn-northd
        → hosts `host-1` and `host-2`, each with Open vSwitch and ovn-controller
            → guests, plugged into them as Nova would: with what the API answers to the bind
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from packets.guests import Guest, random_mac
from packets.hosts import Host, Underlay
from packets.namespaces import Namespaces
from servers.etcd import EtcdServer, free_ports
from servers.ovn import Northd, OvnDatabases
from system.faults.processes import Program

SERVICES = ("net-l3vpn", "site-vpn", "e-line")
TENANT = "a868a466bca84df18404a77db0ecac72"
ADMINS = "ad" * 16
"""The tenant of administrators."""
HOSTS = ("host-1", "host-2")
IPV6_PREFIX = "fd00:6c75::/32"
PATIENCE = 30.0
SILENCE = 0.4
"""Seconds in which a ping that gets through has long been answered: others take 20 ms."""
T = TypeVar("T")

_HERE = Path(__file__).parent
_EXAMPLES = _HERE.parents[1] / "examples"


class Lab:
    """Everything; `start` it, and `close` it whatever has happened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.namespaces = Namespaces()
        self.databases = OvnDatabases(folder / "ovn")
        self.northd = Northd(self.databases, folder / "ovn")
        self._etcd = EtcdServer(folder / "etcd")
        underlay = Underlay(self.namespaces)
        self.hosts = {
            name: Host(name, f"192.168.100.{n}", self.namespaces, underlay, self.databases, folder / name)
            for n, name in enumerate(HOSTS, 1)
        }
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        self.api, self.sites, self.lines = (Api(url, service) for service in SERVICES)
        self.server = Program.installed("proton-server", self._server_config(port), "proton-server")
        self.shim = self._shim_program()

    def start(self) -> None:
        self._etcd.start()
        self.databases.start()
        self.northd.start()
        self.server.start()
        for host in self.hosts.values():
            host.start()
        self._etcd.wait_ready()
        self.shim.start()
        for api in (self.api, self.sites, self.lines):
            eventually(api.is_up)
        self.shim_ready()

    def close(self) -> None:
        for api in (self.api, self.sites, self.lines):
            api.close()
        for program in (self.shim, self.server):
            program.kill()
        for host in self.hosts.values():
            host.stop()
        self.northd.kill()
        self.databases.kill()
        self._etcd.kill()
        self.namespaces.close()

    def print_logs(self) -> None:
        """For a test that fails: what server and shim said in the end."""
        for program in (self.shim, self.server):
            print(f"--- the end of {program.name}'s log:\n{program.log()[-6000:]}")

    def shim_ready(self) -> None:
        """Return when the shim that was started last serves everything."""

        def serves() -> bool:
            self.shim.must_run()
            _, _, last = self.shim.log().rpartition("shim server packets, etcd at")
            return all(f"{service}: serving" in last for service in SERVICES)

        eventually(serves)

    def boot(self, vpn: Vpn, address: str, host: str, *, name: str = "") -> Machine:
        """A machine in a VPN: port and binding by the API, bound, plugged, with its address from DHCP."""
        machine = self.prepare(vpn, address, host, name=name)
        machine.guest.ask_for_address()
        return machine

    def prepare(self, vpn: Vpn, address: str, host: str, *, name: str = "") -> Machine:
        """The same, without asking for an address."""
        machine = self.create(vpn.api, address, name=name)
        vpn.api.join(machine.port, vpn, address)
        machine.start(host)
        return machine

    def create(self, api: Api, address: str, *, name: str = "", **attributes: Any) -> Machine:
        """A machine with its port, not bound to anything yet."""
        guest = Guest(self.namespaces, name or f"vm{uuid.uuid4().hex[:6]}", random_mac())
        port = api.create_port(guest.name, guest.mac, **attributes)
        return Machine(self, api, guest, port, address)

    def _server_config(self, port: int) -> Path:
        config = self._folder / "proton.conf"
        config.write_text(
            f"[api]\nport = {port}\nservice_list = {','.join(SERVICES)}\nmodels_dir = {self._models()}\n"
            f"[database]\nconnection = sqlite:///{self._folder / 'gluon.sqlite'}\n" + self._etcd_section()
        )
        return config

    def _shim_config(self) -> Path:
        config = self._folder / "proton-shim.conf"
        config.write_text(
            f"[shim]\nname = packets\nhandlers = {','.join(f'{service}:ovn' for service in SERVICES)}\n"
            f"lease_ttl = 2\n"
            f"host_list = {','.join(HOSTS)}\nadmin_tenants = {ADMINS}\n"
            f"[shim_ovn]\nconnection = {self.databases.connection}\ndatapath_type = netdev\n"
            f"mtu = 1400\nipv6_prefix = {IPV6_PREFIX}\nstray_delay = 0.5\n" + self._etcd_section()
        )
        return config

    def _models(self) -> Path:
        """The folder of models that don't come with Gluon."""
        folder = self._folder / "models"
        shutil.copytree(_HERE / "models", folder)
        shutil.copytree(_EXAMPLES / "models/e-line", folder / "e-line")
        return folder

    def _shim_program(self) -> Program:
        """The shim server, with a package beside it that has the API models of two services."""
        folder = self._folder / "package"
        metadata = folder / "lab-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            "[gluon.shim.models]\ne-line = e_line:ELineApiModel\nsite-vpn = site_vpn:SiteVpnApiModel\n"
        )
        shutil.copy(_EXAMPLES / "shim/e_line.py", folder)
        shutil.copy(_HERE / "site_vpn.py", folder)
        script = str(Path(sys.executable).with_name("proton-shim-server"))
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = ["env", f"PYTHONPATH={path}", script, "--config-file", str(self._shim_config())]
        return Program("proton-shim", command, self._folder / "proton-shim.log")

    def _etcd_section(self) -> str:
        return f"[etcd]\nendpoints = {self._etcd.url}\n"


class Machine:
    """A guest and its port."""

    def __init__(self, lab: Lab, api: Api, guest: Guest, port: str, address: str) -> None:
        self._lab = lab
        self._api = api
        self.guest = guest
        self.port = port
        self.address = address
        self.vif: dict[str, Any] = {}

    def bind(self, host: str) -> None:
        """As Nova does, and with what it needs to know: AssertionError when the port isn't bound."""
        bound = self._api.bind(self.port, host)
        self.vif = json.loads(bound["vif_details"])

    def start(self, host: str) -> None:
        """Bind it, and plug it in."""
        self.bind(host)
        self.guest.plug(self._lab.hosts[host], self.port)

    def unbind(self) -> None:
        self._api.request("PUT", f"ports/{self.port}", 200, {"host_id": None, "device_id": None})

    def delete(self) -> None:
        self._api.request("DELETE", f"ports/{self.port}?cascade=true", 204)

    def hears_no_more_of(self, address: str) -> None:
        """Return when pings to that address are answered no longer, which is so by and by: whatever was
        changed has to reach ovn-northd, the hosts, and what their switches remember of flows.
        """
        eventually(lambda: self.guest.ping(address, SILENCE) is None, what=f"silence of {address}")

    @property
    def address6(self) -> str:
        """The IPv6 address that it has made itself of what the router says."""

        def found() -> str | None:
            shown = json.loads(self.guest.namespace.ip("-6", "-j", "addr", "show", "dev", "eth0"))
            addresses = [info["local"] for info in shown[0]["addr_info"] if info["scope"] == "global"]
            return addresses[0] if addresses else None

        return eventually(found)


class Vpn:
    """A VPN, and where it is served."""

    def __init__(self, api: Api, key: str, name: str) -> None:
        self.api = api
        self.key = key
        self.name = name


class Api:
    """What a client does. Each request says which answer it expects."""

    def __init__(self, url: str, service: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/proton/{service}/v1.0/", timeout=20.0)
        self._root = f"{url}/proton/{service}"
        self._background = ThreadPoolExecutor(16, "client")

    def close(self) -> None:
        self._background.shutdown(cancel_futures=True)
        self._http.close()

    def is_up(self) -> bool:
        try:
            return self._http.get(self._root).status_code == 200
        except httpx.TransportError:
            return False

    def request(self, method: str, path: str, expect: int, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def request_in_background(self, method: str, path: str, body: Any) -> Future[httpx.Response]:
        """The answer by and by: binds may take seconds."""
        return self._background.submit(self._http.request, method, path, json=body)

    def status(self, port: str) -> dict[str, Any]:
        """What the shim says of a port."""
        statuses = self.request("GET", f"ports/{port}/status", 200)["status"]
        return next((dict(status) for status in statuses if status["controller"] == "packets"), {})

    def create_vpn(self, name: str, *targets: str) -> Vpn:
        """A VPN that names these route targets, for both address families."""
        return self.create_service("vpns", name, **_families(targets))

    def create_service(self, plural: str, name: str, **attributes: Any) -> Vpn:
        """A service of any kind."""
        body = {"tenant_id": TENANT, "name": name} | attributes
        return Vpn(self, self.request("POST", plural, 201, body)["id"], name)

    def set_targets(self, vpn: Vpn, *targets: str) -> None:
        self.request("PUT", f"vpns/{vpn.key}", 200, _families(targets))

    def allow_target(self, value: str, kind: str, tenant: str = TENANT) -> None:
        """A VpnAfConfig: what a route target does for those who name it."""
        body = {"tenant_id": tenant, "vrf_rt_value": value, "vrf_rt_type": f"{kind}"}
        self.request("POST", "vpnafconfigs", 201, body)

    def forbid_target(self, value: str) -> None:
        self.request("DELETE", f"vpnafconfigs/{value}", 204)

    def create_port(self, name: str, mac: str, **attributes: Any) -> str:
        body = {
            "tenant_id": TENANT,
            "name": name,
            "mac_address": mac,
            "mtu": 1500,
            "admin_state_up": True,
            "vlan_transparency": False,
            "vnic_type": "normal",
            "status": "DOWN",
        }
        return str(self.request("POST", "ports", 201, body | attributes)["id"])

    def add_vlan(self, port: str, number: int) -> str:
        """An interface of a port."""
        body = {"tenant_id": TENANT, "segmentation_type": "vlan", "segmentation_id": number}
        return str(self.request("POST", f"ports/{port}/interfaces", 201, body)["id"])

    def join(self, interface: str, vpn: Vpn, address: str, prefix: str = "") -> None:
        """Bind an interface to a VPN, in the /24 or /64 of its address; the gateway is the prefix's first."""
        length = "64" if ":" in address else "24"
        network = ipaddress.ip_network(prefix or f"{address}/{length}", strict=False)
        body = {
            "tenant_id": TENANT,
            "interface_id": interface,
            "service_id": vpn.key,
            "ipaddress": address,
            "subnet_prefix": network.prefixlen,
            "gateway": str(network[1]),
        }
        self.request("POST", "vpnbindings", 201, body)

    def bind(self, port: str, host: str) -> dict[str, Any]:
        """The port, which must be bound."""
        bound = dict(self.request("PUT", f"ports/{port}", 200, _bind(host)))
        assert bound["vif_type"] == "ovs", bound
        return bound

    def bind_in_background(self, port: str, host: str) -> Future[httpx.Response]:
        return self.request_in_background("PUT", f"ports/{port}", _bind(host))


def _bind(host: str) -> dict[str, str]:
    return {"host_id": host, "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}


def _families(targets: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(("ipv4_family", "ipv6_family"), ",".join(targets))


def eventually(found: Callable[[], T | None], patience: float = PATIENCE, what: str = "it") -> T:
    """What `found` gives, as soon as that is true."""
    deadline = time.monotonic() + patience
    while not (result := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} has not come about within {patience:g} s")
        time.sleep(0.02)
    return result
