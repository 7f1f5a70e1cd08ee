"""How a stored object looks outside: one shape in API answers and in etcd alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gluon.etcd.keys import Keys
from gluon.model.model import SERVER_ATTRIBUTES, Role
from gluon.particle.texts import text_of_key
from gluon.proton.registry import HostedObject

_encode = msgspec.json.Encoder().encode

Entry = tuple[str, bytes | None]
"""An etcd key and its new value; None takes the key away."""


def object_document(hosted: HostedObject, row: Mapping[str, Any]) -> dict[str, Any]:
    """The object as the API shows it: attributes in declared order, then what the server keeps."""
    document = {name: row[name] for name in hosted.api.attributes}
    for name in SERVER_ATTRIBUTES:
        document[name] = row[name]
    return document


class EtcdDocuments:
    """The etcd entries that a change of an object brings with it (keys and values of the shims' contract)."""

    def __init__(self, keys: Keys, public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url

    def stored(self, hosted: HostedObject, row: Mapping[str, Any]) -> list[Entry]:
        """For an object that was created or changed."""
        service, name, key = hosted.model.service, hosted.api.name, row[hosted.api.key]
        document = object_document(hosted, row)
        if hosted.role is not Role.PORT:
            return [(self._keys.object(service, name, text_of_key(key)), _encode(document))]
        document["bind_id"] = row["bind_id"]
        document["bindings"] = []
        owner = {"tenant_id": row.get("tenant_id"), "service": service, "url": self._public_url}
        return [
            (self._keys.object(service, name, key), _encode(document)),
            (self._keys.port(key), _encode(owner)),
        ]

    def removed(self, hosted: HostedObject, key: Any) -> list[Entry]:
        """For an object that is gone; a port takes its answers with it."""
        service, name = hosted.model.service, hosted.api.name
        entries: list[Entry] = [(self._keys.object(service, name, text_of_key(key)), None)]
        if hosted.role is Role.PORT:
            entries += [(self._keys.port(key), None), (self._keys.answer(service, name, key), None)]
        return entries
