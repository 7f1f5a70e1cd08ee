"""A whole site on one machine: Gluon's servers, OVN, two hosts, and guests that come by Gluon's API only.

etcd, proton-server, proton-shim-server (OVN backend)
    → OVN's databases and ovn-northd
        → hosts `host-1` and `host-2`, each with Open vSwitch and ovn-controller
            → guests, plugged into them as Nova would: with what the API answers to the bind
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from packets.guests import Guest, random_mac
from packets.hosts import Host, Underlay
from packets.namespaces import Namespaces
from servers.etcd import EtcdServer, free_ports
from servers.ovn import Northd, OvnDatabases
from system.faults.processes import Program

SERVICE = "net-l3vpn"
TENANT = "a868a466bca84df18404a77db0ecac72"
HOSTS = ("host-1", "host-2")
IPV6_PREFIX = "fd00:6c75::/32"
PATIENCE = 30.0
T = TypeVar("T")


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
        self.api = Api(f"http://127.0.0.1:{port}")
        self.server = Program.installed("proton-server", self._server_config(port), "proton-server")
        self.shim = Program.installed("proton-shim-server", self._shim_config(), "proton-shim")

    def start(self) -> None:
        self._etcd.start()
        self.databases.start()
        self.northd.start()
        self.server.start()
        for host in self.hosts.values():
            host.start()
        self._etcd.wait_ready()
        self.shim.start()
        eventually(self.api.is_up)
        self.shim_ready()

    def close(self) -> None:
        self.api.close()
        for program in (self.shim, self.server):
            program.kill()
            # Shown with a test that fails.
            print(f"--- the end of {program.name}'s log:\n{program.log()[-6000:]}")
        for host in self.hosts.values():
            host.stop()
        self.northd.kill()
        self.databases.kill()
        self._etcd.kill()
        self.namespaces.close()

    def shim_ready(self) -> None:
        """Return when the shim that runs now serves."""
        starts = self.shim.log().count("shim server packets, etcd at")

        def serves() -> bool:
            self.shim.must_run()
            last = self.shim.log().split("shim server packets, etcd at")[-1]
            return starts > 0 and f"{SERVICE}: serving" in last

        eventually(serves)

    def boot(self, vpn: Vpn, address: str, host: str, *, name: str = "") -> Machine:
        """A machine in a VPN: port and binding by the API, bound, plugged, with its address from DHCP."""
        machine = self.prepare(vpn, address, host, name=name)
        machine.guest.ask_for_address()
        return machine

    def prepare(self, vpn: Vpn, address: str, host: str, *, name: str = "") -> Machine:
        """The same, without asking for an address."""
        guest = Guest(self.namespaces, name or f"vm{uuid.uuid4().hex[:6]}", random_mac())
        port = self.api.create_port(guest.name, guest.mac)
        self.api.join(port, vpn, address)
        machine = Machine(self, guest, port, address)
        machine.bind(host)
        guest.plug(self.hosts[host], port)
        return machine

    def _server_config(self, port: int) -> Path:
        config = self._folder / "proton.conf"
        config.write_text(
            f"[api]\nport = {port}\nservice_list = {SERVICE}\n"
            f"[database]\nconnection = sqlite:///{self._folder / 'gluon.sqlite'}\n" + self._etcd_section()
        )
        return config

    def _shim_config(self) -> Path:
        config = self._folder / "proton-shim.conf"
        config.write_text(
            f"[shim]\nname = packets\nhandlers = {SERVICE}:{SERVICE}-ovn\nlease_ttl = 2\n"
            f"host_list = {','.join(HOSTS)}\n"
            f"[shim_ovn]\nconnection = {self.databases.connection}\ndatapath_type = netdev\n"
            f"mtu = 1400\nipv6_prefix = {IPV6_PREFIX}\nstray_delay = 0.5\n" + self._etcd_section()
        )
        return config

    def _etcd_section(self) -> str:
        return f"[etcd]\nendpoints = {self._etcd.url}\n"


class Machine:
    """A guest and its port."""

    def __init__(self, lab: Lab, guest: Guest, port: str, address: str) -> None:
        self._lab = lab
        self.guest = guest
        self.port = port
        self.address = address
        self.vif: dict[str, Any] = {}

    def bind(self, host: str) -> None:
        """As Nova does, and with what it needs to know: AssertionError when the port isn't bound."""
        bound = self._lab.api.bind(self.port, host)
        self.vif = json.loads(bound["vif_details"])

    def unbind(self) -> None:
        self._lab.api.request("PUT", f"ports/{self.port}", 200, {"host_id": None, "device_id": None})

    def delete(self) -> None:
        self._lab.api.request("DELETE", f"ports/{self.port}?cascade=true", 204)

    @property
    def address6(self) -> str:
        """The IPv6 address that it has made itself of what the router says."""

        def found() -> str | None:
            shown = json.loads(self.guest.namespace.ip("-6", "-j", "addr", "show", "dev", "eth0"))
            addresses = [info["local"] for info in shown[0]["addr_info"] if info["scope"] == "global"]
            return addresses[0] if addresses else None

        return eventually(found)


class Vpn:
    """A VPN, and the route targets that it names."""

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name


class Api:
    """What a client does. Each request says which answer it expects."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/proton/{SERVICE}/v1.0/", timeout=20.0)
        self._url = url

    def close(self) -> None:
        self._http.close()

    def is_up(self) -> bool:
        try:
            return self._http.get(f"{self._url}/proton/{SERVICE}").status_code == 200
        except httpx.TransportError:
            return False

    def request(self, method: str, path: str, expect: int, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create_vpn(self, name: str, *targets: str) -> Vpn:
        """A VPN that names these route targets, for both address families."""
        families = dict.fromkeys(("ipv4_family", "ipv6_family"), ",".join(targets))
        found = self.request("POST", "vpns", 201, {"tenant_id": TENANT, "name": name} | families)
        return Vpn(found["id"], name)

    def set_targets(self, vpn: Vpn, *targets: str) -> None:
        families = dict.fromkeys(("ipv4_family", "ipv6_family"), ",".join(targets))
        self.request("PUT", f"vpns/{vpn.key}", 200, families)

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

    def join(self, interface: str, vpn: Vpn, address: str) -> None:
        """Bind an interface to a VPN, in the /24 of its address."""
        self.request("POST", "vpnbindings", 201, binding(interface, vpn, address))

    def bind(self, port: str, host: str) -> dict[str, Any]:
        """The port, which must be bound."""
        body = {"host_id": host, "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}
        bound = dict(self.request("PUT", f"ports/{port}", 200, body))
        assert bound["vif_type"] == "ovs", bound
        return bound


def binding(interface: str, vpn: Vpn, address: str) -> dict[str, Any]:
    """The body of a service binding, in the /24 of its address."""
    return {
        "tenant_id": TENANT,
        "interface_id": interface,
        "service_id": vpn.key,
        "ipaddress": address,
        "subnet_prefix": 24,
        "gateway": address.rpartition(".")[0] + ".1",
    }


def eventually(found: Callable[[], T | None], patience: float = PATIENCE, what: str = "it") -> T:
    """What `found` gives, as soon as that is true."""
    deadline = time.monotonic() + patience
    while not (result := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} has not come about within {patience:g} s")
        time.sleep(0.02)
    return result
