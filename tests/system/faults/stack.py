"""etcd, Proton Server and shims as processes of their own, and what they are asked by tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gluon.etcd.keys import Keys
from gluon.etcd.options import EtcdSettings
from servers.etcd import EtcdServer, free_ports
from system.faults.eventually import eventually
from system.faults.processes import Program

SERVICE = "net-l3vpn"
TENANT = "a868a466bca84df18404a77db0ecac72"
DEVICE = "7fa1b3f6-6d9e-4a0e-8a3a-6d3a2d9a7d10"


class Shim(Program):
    """A shim server with the dummy backend, which logs what it is asked."""

    def lines(self, *words: str) -> list[str]:
        """The log lines with all these words in them, in order."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]

    def calls(self, *words: str) -> list[str]:
        """The names of the callbacks in those lines."""
        asked = (line.partition(f" {SERVICE} ")[2].split() for line in self.lines("backends.dummy", *words))
        return [call[0] for call in asked]


class Stack:
    """A server, its etcd and its shims; starts and stops are the test's, the end is `running`'s."""

    def __init__(
        self,
        folder: Path,
        *,
        bind_timeout: float,
        lease_ttl: int,
        etcd: EtcdSettings | None = None,
        further: str = "",
    ) -> None:
        """`etcd`: one that runs already, instead of the stack's own; `further`: sections of both
        configurations.
        """
        self._further = further
        self.bind_timeout = bind_timeout
        self.shims: dict[str, Shim] = {}
        self.etcd_server = EtcdServer(folder / "etcd")
        self._etcd_settings = etcd or EtcdSettings(endpoints=(self.etcd_server.url,), timeout=2.0)
        self.keys = Keys(self._etcd_settings.prefix)
        self.etcd = self._etcd_settings.connect()
        self._folder = folder
        self._lease_ttl = lease_ttl
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(
            base_url=f"{self.url}/proton/{SERVICE}/v1.0/", timeout=bind_timeout + 10
        )
        self.server = Program.installed("proton-server", self._server_config(port), "server")

    def _server_config(self, port: int) -> Path:
        config = self._folder / "proton.conf"
        config.write_text(
            f"[api]\nport = {port}\nservice_list = {SERVICE}\nbind_timeout = {self.bind_timeout}\n"
            f"[database]\nconnection = sqlite:///{self._folder / 'gluon.sqlite'}\n" + self._etcd_section()
        )
        return config

    def add_shim(self, name: str, hosts: Sequence[str]) -> Shim:
        """One more shim, not started yet."""
        config = self._folder / f"{name}.conf"
        config.write_text(
            f"[shim]\nname = {name}\nhost_list = {','.join(hosts)}\n"
            f"handlers = {SERVICE}:dummy\nlease_ttl = {self._lease_ttl}\n" + self._etcd_section()
        )
        self.shims[name] = shim = Shim.installed("proton-shim-server", config, name)
        return shim

    def _etcd_section(self) -> str:
        settings = {f.name: getattr(self._etcd_settings, f.name) for f in fields(EtcdSettings)}
        settings["endpoints"] = ",".join(self._etcd_settings.endpoints)
        given = [f"{name} = {value}\n" for name, value in settings.items() if value]
        return "".join(["[etcd]\n", *given, self._further])

    @property
    def shim(self) -> Shim:
        """The only one."""
        (shim,) = self.shims.values()
        return shim

    async def server_ready(self) -> dict[str, Any]:
        """The health report of a server that answers."""

        async def check() -> dict[str, Any]:
            self.server.must_run()
            return await self.health()

        return await eventually(check)

    async def shim_ready(self, shim: Shim | None = None) -> None:
        """Return when this very process of a shim serves the service."""
        shim = shim or self.shim

        async def check() -> None:
            shim.must_run()
            found = await self.etcd.get(self.keys.controller(shim.name))
            assert found is not None, f"{shim.name} is not in etcd"
            says = msgspec.json.decode(found.value)
            assert says["pid"] == shim.pid, f"the name is still held by {says['pid']}"
            assert SERVICE in says["services"], says

        await eventually(check)

    async def health(self) -> dict[str, Any]:
        answer = await self.http.get(f"{self.url}/healthcheck")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def request(self, method: str, path: str, expect: int, body: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def base_url(self) -> str:
        """Where the service is, for a client's next request."""
        return str(self.http.base_url)

    async def create_port(self, name: str, **attributes: Any) -> dict[str, Any]:
        return dict(await self.request("POST", "ports", 201, port(name, **attributes)))

    async def create_ports(self, count: int) -> list[str]:
        """The ids of so many new ports."""
        bodies = [port(f"port-{number}") for number in range(count)]
        return [p["id"] for p in (await self.request("POST", "ports", 201, {"ports": bodies}))["ports"]]

    async def bind(self, port_id: str, host: str) -> dict[str, Any]:
        """The port as a bind leaves it, answered or not."""
        body = {
            "host_id": host,
            "device_id": DEVICE,
            "device_owner": "compute:nova",
        }
        return dict(await self.request("PUT", f"ports/{port_id}", 200, body))

    async def port(self, port_id: str) -> dict[str, Any]:
        return dict(await self.request("GET", f"ports/{port_id}", 200))

    async def bound(self, port_id: str, within: float = 10.0) -> dict[str, Any]:
        """The port once it is bound, without anybody asking again."""

        async def check() -> dict[str, Any]:
            found = await self.port(port_id)
            assert is_bound(found), binding_of(found)
            return found

        return await eventually(check, within)

    async def answer(self, port_id: str) -> dict[str, Any]:
        """The controller's answer in etcd, once it is there."""

        async def check() -> dict[str, Any]:
            found = await self.etcd.get(self.keys.answer(SERVICE, "Port", port_id))
            assert found is not None, f"no answer for {port_id}"
            return dict(msgspec.json.decode(found.value))

        return await eventually(check)


def port(name: str, **attributes: Any) -> dict[str, Any]:
    """The body of a new port."""
    return {
        "tenant_id": TENANT,
        "name": name,
        "mac_address": "c8:2a:14:04:43:80",
        "mtu": 1500,
        "admin_state_up": True,
        "vlan_transparency": True,
        "vnic_type": "normal",
        "status": "ACTIVE",
    } | attributes


def is_bound(found: dict[str, Any]) -> bool:
    return found["vif_type"] == "ovs" and found["status"] == "ACTIVE"


def binding_of(found: dict[str, Any]) -> dict[str, Any]:
    """What tells of a binding, for messages."""
    return {name: found[name] for name in ("id", "host_id", "vif_type", "status", "revision_number")}


@asynccontextmanager
async def running(
    folder: Path,
    *,
    shims: dict[str, Sequence[str]] | None = None,
    bind_timeout: float = 8.0,
    lease_ttl: int = 5,
    etcd: EtcdSettings | None = None,
    further: str = "",
) -> AsyncIterator[Stack]:
    """A stack in which all is ready: one shim for every host, or those of `shims` with their hosts.

    `etcd`: one that runs already, instead of the stack's own; `further`: sections of both configurations.
    """
    stack = Stack(folder, bind_timeout=bind_timeout, lease_ttl=lease_ttl, etcd=etcd, further=further)
    for name, hosts in (shims or {"shim": ["*"]}).items():
        stack.add_shim(name, hosts)
    programs = [stack.server, *stack.shims.values()]
    try:
        if etcd is None:
            stack.etcd_server.start()
        for program in programs:
            program.start()
        await stack.server_ready()
        for shim in stack.shims.values():
            await stack.shim_ready(shim)
        yield stack
    finally:
        await stack.http.aclose()
        await stack.etcd.close()
        for program in programs:
            program.kill()
            # Shown with a test that fails.
            print(f"--- the end of {program.name}'s log:\n{program.log()[-4000:]}")
        stack.etcd_server.kill()
