"""Hosts as OVN knows them (chassis): Open vSwitch with its userspace datapath, and ovn-controller.

Each is a network namespace. The address that tunnels come from is on a bridge of Open vSwitch, because its
userspace datapath finds the way to other hosts only there.
"""

from __future__ import annotations

import signal
from pathlib import Path

from packets.namespaces import Namespace, Namespaces, link
from servers.ovn import OvnDatabases, ovs_environment, run
from servers.process import ServerProcess
from servers.programs import find_program


class Underlay:
    """What joins the hosts: a bridge in a namespace of its own."""

    def __init__(self, namespaces: Namespaces) -> None:
        self.namespace = namespaces.add("underlay")
        self.namespace.ip("link", "add", "bridge", "type", "bridge")
        self.namespace.ip("link", "set", "bridge", "up")

    def join(self, host: Namespace, name: str) -> None:
        """Give a host a link here, `up0` to it."""
        link(host, "up0", self.namespace, name)
        self.namespace.ip("link", "set", name, "master", "bridge")


class Host:
    """One hypervisor, by the name that Nova would know it by."""

    def __init__(
        self,
        name: str,
        address: str,
        namespaces: Namespaces,
        underlay: Underlay,
        databases: OvnDatabases,
        directory: Path,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.namespace = namespaces.add(name)
        self._address = address
        self._databases = databases
        self._directory = directory
        self._socket = directory / "db.sock"
        self._environment = ovs_environment(directory)
        self._processes: list[ServerProcess] = []
        underlay.join(self.namespace, name)

    def start(self) -> None:
        """Start everything; ready when ovn-controller has made the bridge its own."""
        database = self._directory / "conf.db"
        run("ovsdb-tool", "create", str(database), str(find_program("vswitch.ovsschema")))
        self._start("ovsdb-server", str(database), f"--remote=punix:{self._socket}", "ovsdb.ctl").wait_until(
            self._socket.exists
        )
        self.vsctl("--no-wait", "init")
        self._start("ovs-vswitchd", f"unix:{self._socket}", "vswitchd.ctl", inside=True)
        ids = {
            "system-id": self.name,
            "hostname": self.name,
            "ovn-remote": self._databases.connection,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self._address,
            "ovn-bridge-datapath-type": "netdev",
        }
        self.vsctl("set", "open", ".", *(f"external-ids:{name}={value}" for name, value in ids.items()))
        self.vsctl(
            *(
                "add-br",
                "br-int",
                "--",
                "set",
                "bridge",
                "br-int",
                "datapath_type=netdev",
                "fail_mode=secure",
            ),
            *("--", "add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev"),
            *("--", "add-port", "br-phy", "up0"),
        )
        self.namespace.ip("addr", "add", f"{self._address}/24", "dev", "br-phy")
        self.namespace.ip("link", "set", "br-phy", "up")
        controller = self._start("ovn-controller", f"unix:{self._socket}", None, inside=True)
        controller.wait_until(lambda: self.name in self._databases.sbctl("--columns=name", "list", "chassis"))

    def stop(self) -> None:
        while self._processes:
            self._processes.pop().end(signal.SIGKILL)

    def plug(self, device: str, interface_id: str, mac: str) -> None:
        """What os-vif does for a VIF of type ovs: a port of br-int that says which one it is."""
        ids = {"iface-id": interface_id, "attached-mac": mac, "iface-status": "active"}
        self.vsctl(
            *("add-port", "br-int", device, "--", "set", "Interface", device),
            *(f"external-ids:{name}={value}" for name, value in ids.items()),
        )

    def unplug(self, device: str) -> None:
        self.vsctl("--if-exists", "del-port", "br-int", device)

    def vsctl(self, *arguments: str) -> str:
        return run(
            "ovs-vsctl",
            f"--db=unix:{self._socket}",
            "--timeout=20",
            *arguments,
            environment=self._environment,
        )

    def _start(self, program: str, *arguments: str | None, inside: bool = False) -> ServerProcess:
        *given, control = arguments
        process = ServerProcess(program, self._directory / f"{program}.log")
        # ovn-controller has no such option: it keeps its socket in OVN_RUNDIR.
        options = [f"--unixctl={self._directory / control}"] if control is not None else []
        where = self.namespace.command() if inside else ()
        process.start(
            [*where, str(find_program(program)), *filter(None, given), *options, "-vconsole:warn"],
            self._environment,
        )
        self._processes.append(process)
        return process
