"""Random operations on the objects of a model, each answered as it must be."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any
from uuid import UUID

import httpx

from gluon.etcd.keys import segment
from gluon.model.model import ApiObject, Attribute, AttributeType, Model, Role
from gluon.particle.texts import text_of_key
from gluon.particle.validators import server_makes_key
from proton.serving import Api
from system.agreement import listed
from system.awkward import as_stored, value_of

HOSTS = ("compute-1", "compute-2", "refusing", "silent")
"""The answering controller refuses binds to one of them, and never answers for another."""

_CHOICES = ("value", "value", "none", "left out")
_BINDS = ("host_id", "device_id")
_DECIDED_BY_BINDING = ("status", "vif_type", "vif_details")


class Story:
    """Does one random thing after the other to the objects of one model."""

    def __init__(self, api: Api, model: Model) -> None:
        self._api = api
        self._model = model
        self._random = Random()
        self._root = f"/proton/{segment(model.service)}/{segment(model.version_id)}"
        self._there: dict[str, dict[str, Any]] = {}

    async def go_on(self, seed: int) -> None:
        """One more operation, which the seed and what is there decide."""
        self._random = Random(seed)
        self._there = await listed(self._api, self._model)
        operations = {
            "create": self._create,
            "create many": self._create_many,
            "create wrongly": self._create_wrongly,
            "update": self._update,
            "at once": self._at_once,
            "delete": self._delete,
            "delete with all": self._delete_with_all,
            "bind": self._bind,
            "unbind": self._unbind,
        }
        often = ["create", "create", "create", "create", "update", "update", "bind"]
        await operations[self._random.choice([*often, *operations])]()

    # -- operations -----------------------------------------------------------------------------------

    async def _create(self) -> None:
        found = self._any_object()
        body = self._body(found)
        if body is None:
            return
        path = self._collection(found, body)
        answer = await self._send("POST", path, json=body)
        if answer.status_code == 409:
            await self._nothing_changed()
            return
        assert answer.status_code == 201, self._told(answer)
        self._is_as_given(found, body, answer.json())
        await self._is_shown(found, answer.json())

    async def _create_wrongly(self) -> None:
        found = self._any_object()
        body = self._body(found)
        if body is None:
            return
        name = self._random.choice([*found.attributes, "no_such_attribute", "created_at"])
        body[name] = {"nobody": ["has", "this"]}
        answer = await self._send("POST", f"/{found.plural}", json=body)
        assert answer.status_code == 422, self._told(answer)
        assert [e["field"] for e in answer.json()["errors"]] == [name]
        await self._nothing_changed()

    async def _create_many(self) -> None:
        found = self._any_object()
        bodies = [self._body(found) for _ in range(self._random.randint(0, 3))]
        if None in bodies:
            return
        answer = await self._send("POST", f"/{found.plural}", json={found.plural: bodies})
        if answer.status_code == 409:
            await self._nothing_changed()
            return
        assert answer.status_code == 201, self._told(answer)
        for body, document in zip(bodies, answer.json()[found.plural], strict=True):
            self._is_as_given(found, body or {}, document)

    async def _update(self) -> None:
        found, document = self._existing()
        if document is None:
            return
        changes = self._values(found, self._free(found)) or {}
        answer = await self._send("PUT", self._item(found, document), json=changes)
        if found.role is Role.INTERFACE and answer.status_code == 422:
            return  # the default interface stays with its port
        if answer.status_code == 409:
            await self._nothing_changed()
            return
        assert answer.status_code == 200, self._told(answer)
        shown = answer.json()
        self._is_as_given(found, changes, shown)
        kept = [n for n in found.attributes if n not in changes]
        assert {n: shown[n] for n in kept} == {n: document[n] for n in kept}
        assert shown["revision_number"] - document["revision_number"] in (0, 1)
        await self._is_shown(found, shown)

    async def _delete(self, cascade: bool = False) -> None:
        found, document = self._existing()
        if document is None:
            return
        query = "?cascade=true" if cascade else ""
        answer = await self._send("DELETE", self._item(found, document) + query)
        if answer.status_code == 409:
            is_default = found.role is Role.INTERFACE and document[found.key] == document["port_id"]
            assert is_default or answer.json()["referrers"], self._told(answer)
            assert is_default or not cascade, self._told(answer)
            await self._nothing_changed()
            return
        assert answer.status_code == 204, self._told(answer)
        assert (await self._send("GET", self._item(found, document))).status_code == 404

    async def _delete_with_all(self) -> None:
        await self._delete(cascade=True)

    async def _bind(self) -> None:
        port, document = self._existing(Role.PORT)
        if document is None:
            return
        host = self._random.choice(HOSTS)
        body = {"host_id": host, "device_id": str(UUID(int=self._random.getrandbits(128)))}
        answer = await self._send("PUT", self._item(port, document), json=body)
        assert answer.status_code == 200, self._told(answer)
        bound = answer.json()
        assert (bound["host_id"], bound["device_id"]) == (host, body["device_id"])
        if host in ("refusing", "silent"):
            assert bound["vif_type"] == "binding_failed" and bound["status"] == "DOWN"
        else:
            assert bound["vif_type"] == "ovs" and bound["status"] == "ACTIVE"

    async def _unbind(self) -> None:
        port, document = self._existing(Role.PORT)
        if document is None:
            return
        answer = await self._send("PATCH", self._item(port, document), json={"host_id": None})
        assert answer.status_code == 200, self._told(answer)
        assert answer.json()["host_id"] is None

    async def _at_once(self) -> None:
        """Several writes of one object race: each is done or refused, and etcd gets them in one order."""
        found, document = self._existing()
        if document is None:
            return
        free = self._free(found)
        path = self._item(found, document)
        requests = [
            self._send("PATCH", path, json=self._values(found, free) or {})
            for _ in range(self._random.randint(2, 5))
        ]
        if self._random.random() < 0.5:
            requests.append(self._send("DELETE", path))
        for answer in await asyncio.gather(*requests):
            assert answer.status_code in (200, 204, 404, 409, 422), self._told(answer)

    # -- bodies ---------------------------------------------------------------------------------------

    def _body(self, found: ApiObject) -> dict[str, Any] | None:
        """A body that creates an object; None where what it must refer to isn't there."""
        makes_key = server_makes_key(found)
        attributes = [
            a for a in found.attributes.values() if found.role is not Role.PORT or a.name not in _BINDS
        ]
        body = self._values(found, attributes, creating=True)
        if body is not None and not makes_key and found.key not in body:
            return None
        return body

    def _values(
        self, found: ApiObject, attributes: list[Attribute], *, creating: bool = False
    ) -> dict[str, Any] | None:
        values: dict[str, Any] = {}
        for attribute in attributes:
            needed = creating and attribute.required
            choice = "value" if needed else self._random.choice(["value", "value", "none", "left out"])
            is_key = attribute.name == found.key
            if choice == "left out" or (choice == "none" and (attribute.required or is_key)):
                continue
            if choice == "none":
                values[attribute.name] = None
            elif attribute.refers_to:
                targets = self._targets(attribute)
                if targets:
                    values[attribute.name] = self._random.choice(targets)
                elif needed:
                    return None
            else:
                values[attribute.name] = value_of(self._random, found, attribute)
        return values

    @staticmethod
    def _free(found: ApiObject) -> list[Attribute]:
        """What may be changed without a thought for bindings."""
        fixed = {found.key, found.parent_key}
        if found.role is Role.PORT:
            fixed |= {*_BINDS, *_DECIDED_BY_BINDING}
        return [a for a in found.attributes.values() if a.name not in fixed]

    def _targets(self, attribute: Attribute) -> list[Any]:
        keys = []
        for name in attribute.refers_to:
            keys += [document[self._model.objects[name].key] for document in self._documents(name)]
        if attribute.value_type is AttributeType.UUID:
            keys += [key.upper().replace("-", "") for key in keys]
        return keys

    def _documents(self, name: str) -> list[dict[str, Any]]:
        return [d for key, d in self._there.items() if self._api.keys.parse(key).segments[1] == name]

    def _any_object(self) -> ApiObject:
        return self._model.objects[self._random.choice(list(self._model.objects))]

    def _existing(self, role: Role | None = None) -> tuple[ApiObject, dict[str, Any] | None]:
        objects = [o for o in self._model.objects.values() if role is None or o.role is role]
        there = [(o, d) for o in objects for d in self._documents(o.name)]
        if not there:
            return next(iter(self._model.objects.values())), None
        return there[self._random.randint(0, len(there) - 1)]

    # -- requests and answers -------------------------------------------------------------------------

    def _collection(self, found: ApiObject, body: dict[str, Any]) -> str:
        """Where to create it: at the top, or below the parent that the body names."""
        path = f"/{found.plural}"
        if found.parent is None or body.get(found.parent_key or "") is None or self._random.random() < 0.5:
            return path
        parent = self._model.objects[found.parent]
        return f"/{parent.plural}/{segment(text_of_key(body[found.parent_key or '']))}{path}"

    def _item(self, found: ApiObject, document: dict[str, Any]) -> str:
        return f"/{found.plural}/{segment(text_of_key(document[found.key]))}"

    async def _send(self, method: str, path: str, **further: Any) -> httpx.Response:
        return await self._api.request(method, self._root + path, **further)

    @staticmethod
    def _told(answer: httpx.Response) -> str:
        request = answer.request
        return f"{request.method} {request.url} {request.content!r}: {answer.status_code} {answer.text}"

    def _is_as_given(self, found: ApiObject, body: dict[str, Any], shown: dict[str, Any]) -> None:
        for name, given in body.items():
            expected = as_stored(found, found.attributes[name], given)
            if name == found.key and expected is None:
                continue
            assert (type(shown[name]), shown[name]) == (type(expected), expected), name

    async def _is_shown(self, found: ApiObject, document: dict[str, Any]) -> None:
        answer = await self._send("GET", self._item(found, document))
        assert (answer.status_code, answer.json()) == (200, document), self._told(answer)

    async def _nothing_changed(self) -> None:
        assert await listed(self._api, self._model) == self._there
