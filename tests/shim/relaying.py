"""The keys that a Proton Server writes, and what shims answer, for tests without one."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.model.catalog import load_catalog
from gluon.model.model import Model
from gluon.proton.documents import model_value

PATIENCE = 50.0
TENANT = "a868a466bca84df18404a77db0ecac72"
T = TypeVar("T")
_OF_BINDING = ("bind_id", "profile", "vif_type", "vif_details")


@cache
def bundled(service: str) -> Model:
    return load_catalog(None).newest(service)


async def until(found: Callable[[], T | None] | Callable[[], Awaitable[T | None]], what: str = "it") -> T:
    """What `found` gives, as soon as that is true."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        result = found()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} has not come about within {PATIENCE:g} s")
        await asyncio.sleep(0.01)


class Relaying:
    """Writes objects as the relay does, with revision numbers of their own."""

    def __init__(self, etcd: Etcd, keys: Keys, model: Model | None = None) -> None:
        self.etcd = etcd
        self.keys = keys
        self.model = model or bundled("net-l3vpn")
        self.service = self.model.service
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}

    async def publish(self) -> None:
        """Make the model known."""
        model = self.model
        value = model_value(model.service, model.version, model.digest, model.document)
        await self.etcd.put(self.keys.model(model.service, model.version), value)

    def key(self, object_name: str, key: str) -> str:
        return self.keys.object(self.service, object_name, key)

    async def put(self, object_name: str, key: str | None = None, **attributes: Any) -> str:
        """Create an object, or change what is given of it; its key."""
        described = self.model.objects[object_name]
        key = key or str(attributes.get(described.key) or uuid.uuid4())
        document = self.objects.get((object_name, key))
        if document is None:
            document = dict.fromkeys(described.attributes)
            document |= {described.key: key, "created_at": "2026-11-22T00:00:00Z", "revision_number": 0}
            if "tenant_id" in described.attributes:
                document["tenant_id"] = TENANT
        document = {**document, **attributes, "updated_at": "2026-11-22T00:00:00Z"}
        document["revision_number"] += 1
        self.objects[object_name, key] = document
        await self.etcd.put(self.key(object_name, key), json.dumps(document).encode())
        return key

    async def port(self, key: str | None = None, **attributes: Any) -> str:
        """A port, or a change of one."""
        known = self.objects.get(("Port", key or ""))
        if known is None:
            fresh = {
                "name": "",
                "mac_address": "c8:2a:14:04:43:80",
                "mtu": 1500,
                "admin_state_up": True,
                "vlan_transparency": True,
                "vnic_type": "normal",
                "status": "ACTIVE",
                "bind_id": None,
                "bindings": [],
            }
            attributes = {**fresh, **attributes}
        return await self.put("Port", key, **attributes)

    async def bind(self, key: str, host: str = "compute-1", **attributes: Any) -> str:
        """Ask for the port to be bound; the bind_id."""
        bind_id = str(uuid.uuid4())
        fields = {"host_id": host, "device_id": str(uuid.uuid4()), "bind_id": bind_id, "status": "DOWN"}
        await self.port(key, **{**fields, **attributes})
        return bind_id

    async def make_ready(self, key: str, host: str, **attributes: Any) -> str:
        """Ask for the port to be made ready on a further host; the bind_id."""
        bind_id = str(uuid.uuid4())
        ready = {"host": host, "bind_id": bind_id, "profile": None, "vif_type": None, "vif_details": None}
        before = self.objects["Port", key]["bindings"]
        await self.port(key, bindings=[*before, {**ready, **attributes}])
        return bind_id

    async def activate(self, key: str, host: str) -> None:
        """Have the inactive binding on a host and the active one change places."""
        port = self.objects["Port", key]
        chosen = next(b for b in port["bindings"] if b["host"] == host)
        former = {"host": port["host_id"], **{name: port[name] for name in _OF_BINDING}}
        left = [b for b in port["bindings"] if b["host"] != host]
        swapped = {"host_id": host, **{name: chosen[name] for name in _OF_BINDING}}
        await self.port(key, **swapped, bindings=[*left, former])
        await self.etcd.delete(self.keys.answer(self.service, "Port", key, host))

    async def end(self, key: str, host: str) -> None:
        """Delete an inactive binding."""
        left = [b for b in self.objects["Port", key]["bindings"] if b["host"] != host]
        await self.port(key, bindings=left)
        await self.etcd.delete(self.keys.answer(self.service, "Port", key, host))

    async def unbind(self, key: str) -> None:
        cleared = dict.fromkeys(("host_id", "device_id", "bind_id", "vif_type", "vif_details"))
        await self.port(key, **cleared, status="DOWN", bindings=[])

    async def delete(self, object_name: str, key: str) -> None:
        self.objects.pop((object_name, key), None)
        await self.etcd.delete(self.key(object_name, key))
        if object_name == "Port":
            await self.etcd.delete(self.keys.answer(self.service, object_name, key))

    async def interface(self, port: str, key: str | None = None) -> str:
        """The default interface of a port, or another."""
        fields = {"port_id": port, "segmentation_type": "none", "segmentation_id": 0}
        return await self.put("Interface", key or port, **fields)

    async def vpn(self, **attributes: Any) -> str:
        return await self.put("VpnService", **{"name": "vpn", **attributes})

    async def binding(self, interface: str, vpn: str, **attributes: Any) -> str:
        return await self.put("VpnBinding", interface_id=interface, service_id=vpn, **attributes)

    async def value(self, key: str) -> dict[str, Any] | None:
        found = await self.etcd.get(key)
        return json.loads(found.value) if found is not None else None

    async def answer(self, port: str, bind_id: str | None = None, host: str | None = None) -> dict[str, Any]:
        """The answer to the port's bind (with `host` to that of an inactive binding), once it is there."""
        wanted = bind_id or self.objects["Port", port]["bind_id"]

        async def found() -> dict[str, Any] | None:
            answer = await self.value(self.keys.answer(self.service, "Port", port, host))
            return answer if answer is not None and answer["bind_id"] == wanted else None

        return await until(found, f"the answer to {port}")

    async def status(self, object_name: str, key: str, controller: str = "shim") -> dict[str, Any] | None:
        return await self.value(self.keys.status(self.service, object_name, key, controller))

    async def until_status(
        self, object_name: str, key: str, state: str = "APPLIED", controller: str = "shim"
    ) -> dict[str, Any]:
        """The journal's entry, as soon as it is of the newest revision and in that state."""

        async def found() -> dict[str, Any] | None:
            status = await self.status(object_name, key, controller)
            document = self.objects[object_name, key]
            newest = status is not None and status["revision_number"] == document["revision_number"]
            return status if newest and status is not None and status["state"] == state else None

        return await until(found, f"{state} of {object_name} {key}")

    async def until_forgotten(self, object_name: str, key: str, controller: str = "shim") -> None:
        """Return when the journal has no entry."""

        async def gone() -> bool:
            return await self.status(object_name, key, controller) is None

        await until(gone, f"the end of {object_name} {key}")

    async def claims(self, port: str) -> dict[str, str]:
        """Controller by host."""
        listing = await self.etcd.list(self.keys.claims(self.service, port))
        return {self.keys.parse(i.key).segments[-1]: json.loads(i.value)["controller"] for i in listing.items}
