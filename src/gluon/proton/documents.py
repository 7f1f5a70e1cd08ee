"""How a stored object looks outside: one shape in API answers and in etcd alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gluon.etcd.keys import Keys
from gluon.model.model import SERVER_ATTRIBUTES, ApiObject, Model, Role
from gluon.particle.texts import text_of_key
from gluon.proton.change import Change
from gluon.store.bindings import InactiveBinding

_encode = msgspec.json.Encoder().encode

Entry = tuple[str, bytes | None]
"""An etcd key and its new value; None takes the key away."""

Bindings = Sequence[InactiveBinding]


class Described(Protocol):
    """What a document is made from: the object's type and its model; a HostedObject is one."""

    @property
    def model(self) -> Model:
        """The model of the service."""

    @property
    def api(self) -> ApiObject:
        """The object's type."""

    @property
    def role(self) -> Role:
        """Its role in the binding model."""


def object_document(hosted: Described, row: Mapping[str, Any]) -> dict[str, Any]:
    """The object as the API shows it: attributes in declared order, then what the server keeps."""
    document = {name: row[name] for name in hosted.api.attributes}
    for name in SERVER_ATTRIBUTES:
        document[name] = row[name]
    return document


def model_value(
    service: str, version: str, digest: str, document: Mapping[str, Any], controllers: Sequence[str] = ()
) -> bytes:
    """What etcd has of a served model, `document` being the model in the terms of the language.

    `controllers` are those that must have applied a port before it is ACTIVE.
    """
    value = {
        "service": service,
        "version": version,
        "digest": digest,
        "model": document,
        "controllers": list(controllers),
    }
    return _encode(value)


class EtcdDocuments:
    """The etcd entries that a change of an object brings with it (keys and values of the shims' contract)."""

    def __init__(self, keys: Keys, public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url

    def entries(self, changes: Iterable[Change], bindings: Mapping[str, Bindings]) -> list[Entry]:
        """For all that a transaction changed, in its order; `bindings`: the inactive ones, by port."""
        return [
            entry
            for change in changes
            for entry in (
                self.removed(change.hosted, change.key, change.ended)
                if change.after is None
                else self.stored(change.hosted, change.after, bindings.get(str(change.key), ()), change.ended)
            )
        ]

    def stored(
        self,
        hosted: Described,
        row: Mapping[str, Any],
        bindings: Bindings = (),
        ended: Iterable[str] = (),
    ) -> list[Entry]:
        """For an object that was created or changed; `ended`: hosts where a port has no binding any more."""
        service, name, key = hosted.model.service, hosted.api.name, row[hosted.api.key]
        entry = (self._keys.object(service, name, text_of_key(key)), self.object_value(hosted, row, bindings))
        if hosted.role is not Role.PORT:
            return [entry]
        answers: list[Entry] = [(self._keys.answer(service, name, key, host), None) for host in ended]
        return [entry, (self._keys.port(key), self.owner_value(hosted, row)), *answers]

    def object_value(self, hosted: Described, row: Mapping[str, Any], bindings: Bindings = ()) -> bytes:
        """What etcd has of the object itself; of a port with its inactive bindings."""
        document = object_document(hosted, row)
        if hosted.role is Role.PORT:
            document["bind_id"] = row["bind_id"]
            document["bindings"] = [
                {
                    "host": binding.host,
                    "bind_id": binding.bind_id,
                    "profile": binding.profile,
                    "vif_type": binding.vif_type,
                    "vif_details": binding.vif_details,
                }
                for binding in bindings
            ]
        return _encode(document)

    def owner_value(self, port: Described, row: Mapping[str, Any], url: str | None = None) -> bytes:
        """What etcd has of a port for the arbiter; `url` instead of this server's own."""
        url = self._public_url if url is None else url
        return _encode({"tenant_id": row.get("tenant_id"), "service": port.model.service, "url": url})

    def removed(self, hosted: Described, key: Any, ended: Iterable[str] = ()) -> list[Entry]:
        """For an object that is gone; a port takes its answers with it, `ended`: those of its other hosts."""
        service, name = hosted.model.service, hosted.api.name
        entries: list[Entry] = [(self._keys.object(service, name, text_of_key(key)), None)]
        if hosted.role is Role.PORT:
            entries += [(self._keys.port(key), None), (self._keys.answer(service, name, key), None)]
            entries += [(self._keys.answer(service, name, key, host), None) for host in ended]
        return entries
