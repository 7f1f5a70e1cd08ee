"""What a Proton Server would write to etcd, and what a shim answers there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.model.model import ApiObject, Attribute, AttributeType, Model, Role

Name = tuple[str, str]
"""An object: its type's name in the model, and its key."""

_USUAL: dict[str, Any] = {
    "tenant_id": "00000000000000000000000000000001",
    "name": "conformance",
    "mac_address": "02:00:00:00:00:01",
    "mtu": 1500,
    "admin_state_up": True,
    "vlan_transparency": False,
    "vnic_type": "normal",
    "segmentation_type": "none",
    "segmentation_id": 0,
    "subnet_prefix": 24,
    "gateway": "10.0.0.1",
    "status": "DOWN",
}


class Unsettled(Exception):
    """The shim has not come to an end with something in time; the message says with what."""


class Feed:
    """Objects of one model, written with revision numbers of their own."""

    def __init__(self, etcd: Etcd, keys: Keys, model: Model, patience: float) -> None:
        """`patience`: seconds that the shim has for each step."""
        self.model = model
        self._etcd = etcd
        self._keys = keys
        self._patience = patience
        self._documents: dict[Name, dict[str, Any]] = {}
        self._addresses = 1

    async def publish(self) -> None:
        """Make the model known."""
        model = self.model
        value = {
            "service": model.service,
            "version": model.version,
            "digest": model.digest,
            "model": model.document,
            "controllers": [],
        }
        await self._etcd.put(self._keys.model(model.service, model.version), msgspec.json.encode(value))

    async def create(self, role: Role, /, **references: str) -> Name:
        """An object of that role, with what it refers to by attribute (`interface_id`, `service_id`)."""
        described = self.model.with_role(role)[0]
        document = {a.name: self._value(described, a) for a in described.attributes.values()}
        document |= {k: v for k, v in references.items() if k in described.attributes}
        if "ipaddress" in document:
            self._addresses += 1
            document["ipaddress"] = f"10.0.{self._addresses // 250}.{self._addresses % 250 + 1}"
        if described.role is Role.PORT:
            document |= {"bind_id": None, "bindings": []}
        name = (described.name, str(document[described.key]))
        document |= {"created_at": "2026-11-22T00:00:00Z", "revision_number": 0}
        self._documents[name] = document
        await self.change(name)
        return name

    async def change(self, name: Name, /, **attributes: Any) -> None:
        """Write an object again, with these attributes and the next revision."""
        document = self._documents[name]
        document |= {k: v for k, v in attributes.items() if k in document}
        document |= {"updated_at": "2026-11-22T00:00:00Z", "revision_number": document["revision_number"] + 1}
        await self._etcd.put(self._key(name), msgspec.json.encode(document))

    async def bind(self, port: Name, host: str = "host-1") -> None:
        """Ask for a port to be bound."""
        fields = {"host_id": host, "device_id": str(uuid.uuid4()), "bind_id": str(uuid.uuid4())}
        await self.change(port, **fields, status="DOWN", vif_type=None, vif_details=None)

    async def unbind(self, port: Name) -> None:
        """Ask for it to be let go."""
        await self.change(
            port, **dict.fromkeys(("host_id", "device_id", "bind_id", "vif_type", "vif_details"))
        )

    async def delete(self, *names: Name) -> None:
        """Delete objects, in that order."""
        for name in names:
            del self._documents[name]
            await self._etcd.delete(self._key(name))

    async def forget(self, name: Name, controller: str) -> None:
        """Take away what the shim has written down of an object: nobody knows of it but the controller."""
        await self._etcd.delete(self._keys.status(self.model.service, *name, controller))

    async def answer(self, port: Name) -> dict[str, Any] | None:
        """What the shim has answered to the port's bind."""
        found = await self._etcd.get(self._keys.answer(self.model.service, *port))
        answer = msgspec.json.decode(found.value) if found is not None else None
        return answer if answer and answer["bind_id"] == self._documents[port]["bind_id"] else None

    async def answered(self, port: Name, trouble: Callable[[], str | None]) -> dict[str, Any]:
        """The same, once it is there; raises Unsettled."""

        async def found() -> str | None:
            return None if await self.answer(port) else "no answer to the bind of a port"

        await self._wait(found, trouble)
        return await self.answer(port) or {}

    async def settled(self, trouble: Callable[[], str | None] = lambda: None) -> None:
        """Return when all objects are applied at their newest revisions, and no others have a status.

        Raises Unsettled, at once when there is `trouble`.
        """

        async def left() -> str | None:
            listing = await self._etcd.list(self._keys.statuses(self.model.service))
            found = {}
            for item in listing.items:
                _, *segments, _ = self._keys.parse(item.key).segments
                found[segments[0], segments[1]] = msgspec.json.decode(item.value)
            for name, document in self._documents.items():
                status = found.pop(name, None)
                if status is None:
                    return f"{name[0]} was not applied"
                if status["state"] != "APPLIED" or status["revision_number"] != document["revision_number"]:
                    return f"{name[0]} is {status['state']}: {status['reason'] or 'not the newest revision'}"
            return f"{next(iter(found))[0]} was not deleted" if found else None

        await self._wait(left, trouble)

    async def _wait(self, left: Callable[[], Any], trouble: Callable[[], str | None] = lambda: None) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while (text := await left()) is not None:
            if (said := trouble()) is not None:
                raise Unsettled(said)
            if loop.time() > deadline:
                raise Unsettled(f"{text} within {self._patience:g} s")
            await asyncio.sleep(0.02)

    def _key(self, name: Name) -> str:
        return self._keys.object(self.model.service, *name)

    def _value(self, described: ApiObject, attribute: Attribute) -> Any:
        if attribute.name == described.key:
            return str(uuid.uuid4())
        if attribute.name in _USUAL:
            return _USUAL[attribute.name]
        if not attribute.required or attribute.refers_to:
            return None
        if attribute.values:
            return attribute.values[0]
        if attribute.value_type in (AttributeType.INTEGER, AttributeType.NUMBER):
            return attribute.minimum or 1
        if attribute.value_type is AttributeType.BOOLEAN:
            return True
        return str(uuid.uuid4()) if attribute.value_type is AttributeType.UUID else "x"
