"""What the database says about the keys in etcd: a range of keys for each kind of thing that is kept there.

Each range tells which values the keys below its prefix should have, from the rows as they are in a
transaction. What a key means is read from its text, and a key counts only in the very spelling that the
relay would give it. Keys that are none of a range's own are left as they are, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from gluon.etcd.keys import Keys
from gluon.model.model import ApiObject, Model, Role
from gluon.particle.texts import text_of_key, value_from_text
from gluon.proton.controllers import ControllersByService
from gluon.proton.documents import EtcdDocuments, model_value
from gluon.store.applied import AppliedModels
from gluon.store.bindings import InactiveBinding
from gluon.store.database import Transaction
from gluon.store.port_repository import PortRepository
from gluon.store.ports import PortIds
from gluon.store.repository import ObjectRepository

LEFT_ALONE = None
"""Stands for the value of a key that nobody here decides about."""

Found: TypeAlias = Mapping[str, bytes | None]
"""Keys with the values that etcd has; None for a key that is not there."""

Wanted: TypeAlias = dict[str, bytes | None]
"""Keys with the values that they should have, or LEFT_ALONE; a key that must not be there is missing."""

_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class StoredObject:
    """A type of object with the rows that the database has of it."""

    model: Model
    repository: ObjectRepository

    @property
    def api(self) -> ApiObject:
        """The object's type."""
        return self.repository.object

    @property
    def role(self) -> Role:
        """Its role in the binding model."""
        return self.api.role


class KeyRange(Protocol):
    """The keys below one prefix."""

    @property
    def prefix(self) -> str:
        """Where they are."""

    async def wanted(self, tx: Transaction, found: Found, *, lock: bool = False) -> Wanted:
        """What should be in etcd under these keys; `lock` keeps it so until the transaction ends."""

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> tuple[list[str], Any]:
        """Keys that should be there, behind `marker` (None: from the first), and the marker to go on with.

        That is None after the last ones; fewer than `limit`, even none, may come before.
        """

    async def count(self, tx: Transaction) -> int:
        """How many keys should be there."""


class ObjectKeys:
    """`/proton/<service>/<Object>/<key>`: all types of a service, or one.

    Objects of a type that the service's model doesn't have are strays: nobody could ever change them.
    """

    def __init__(
        self,
        keys: Keys,
        documents: EtcdDocuments,
        service: str,
        objects: Mapping[str, StoredObject],
        only: str | None = None,
    ) -> None:
        self.prefix = keys.objects(service, only)
        self._keys = keys
        self._documents = documents
        self._service = service
        self._objects = {name: o for name, o in objects.items() if only in (None, name)}
        self._names = tuple(self._objects)

    async def wanted(self, tx: Transaction, found: Found, *, lock: bool = False) -> Wanted:
        """See KeyRange."""
        wanted: Wanted = {}
        meant: dict[str, list[Any]] = {}
        for key in found:
            segments = self._keys.parse(key).segments
            if len(segments) != 3 or not _is_text(key):
                wanted[key] = LEFT_ALONE
                continue
            _, name, text = segments
            value = self._value(name, text)
            if value is not None and self._key(name, value) == key:
                meant.setdefault(name, []).append(value)
        # In the order of the model, so that two that lock several rows can't wait for each other.
        for name in self._names:
            if name in meant:
                stored = self._objects[name]
                rows = await stored.repository.get_many(tx, meant[name], lock=lock)
                bindings = await _bindings(tx, stored, list(rows))
                for value, row in rows.items():
                    wanted[self._key(name, value)] = self._documents.object_value(
                        stored, row, bindings.get(value, ())
                    )
        return wanted

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> tuple[list[str], Any]:
        """See KeyRange; a marker is the position of the type, and the key of its last row."""
        position, last = marker or (0, None)
        name = self._names[position]
        found = await self._objects[name].repository.keys_after(tx, last, limit)
        keys = [self._key(name, value) for value in found]
        if len(found) == limit:
            return keys, (position, found[-1])
        return keys, (position + 1, None) if position + 1 < len(self._names) else None

    async def count(self, tx: Transaction) -> int:
        """See KeyRange."""
        return sum([await stored.repository.count(tx) for stored in self._objects.values()])

    def _key(self, name: str, value: Any) -> str:
        return self._keys.object(self._service, name, text_of_key(value))

    def _value(self, name: str, text: str) -> Any:
        """The key of a row that a text may stand for; None for one that no row can have."""
        stored = self._objects.get(name)
        if stored is None or "\0" in text:
            return None
        try:
            value = value_from_text(stored.api.attributes[stored.api.key].value_type, text)
        except ValueError:
            return None
        return None if type(value) is int and value not in _INTEGERS else value


class PortOwnerKeys:
    """`/gluon/port/<port id>`, for the ports of some services.

    A record of a service that the database doesn't have is left alone: another installation may share etcd.
    """

    def __init__(
        self,
        keys: Keys,
        documents: EtcdDocuments,
        ports: Mapping[str, StoredObject],
        ids: PortIds,
        *,
        own_url_counts: bool,
    ) -> None:
        """`ports`: the port object of each service. Unless `own_url_counts`, a record's URL may be any."""
        self.prefix = keys.ports()
        self._keys = keys
        self._documents = documents
        self._ports = ports
        self._services = tuple(ports)
        self._ids = ids
        self._own_url_counts = own_url_counts

    async def wanted(self, tx: Transaction, found: Found, *, lock: bool = False) -> Wanted:
        """See KeyRange."""
        wanted: Wanted = {}
        meant: dict[str, str] = {}
        for key, value in found.items():
            segments = self._keys.parse(key).segments[1:]
            if len(segments) == 1 and self._keys.port(segments[0]) == key and "\0" not in segments[0]:
                meant[segments[0]] = key
            if len(segments) != 1 or not _is_text(key) or self._is_foreign(value):
                wanted[key] = LEFT_ALONE
        of_service: dict[str, list[str]] = {}
        for port_id, service in (await self._ids.services_of(tx, list(meant))).items():
            # Whatever its record says, here is whose it is.
            of_service.setdefault(service, []).append(port_id)
            wanted[meant[port_id]] = LEFT_ALONE
        for service in sorted(of_service.keys() & self._ports.keys()):
            port = self._ports[service]
            rows = await port.repository.get_many(tx, of_service[service], lock=lock)
            for port_id, row in rows.items():
                url = None if self._own_url_counts else _text(found[meant[port_id]], "url")
                wanted[meant[port_id]] = self._documents.owner_value(port, row, url)
        return wanted

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> tuple[list[str], Any]:
        """See KeyRange; a marker is the position of the service, and the last id."""
        position, last = marker or (0, None)
        found = await self._ports[self._services[position]].repository.keys_after(tx, last, limit)
        keys = [self._keys.port(port_id) for port_id in found]
        if len(found) == limit:
            return keys, (position, found[-1])
        return keys, (position + 1, None) if position + 1 < len(self._services) else None

    async def count(self, tx: Transaction) -> int:
        """See KeyRange."""
        return sum([await port.repository.count(tx) for port in self._ports.values()])

    def _is_foreign(self, value: bytes | None) -> bool:
        """Whether it says to be of a service that is none of these. One that says nothing is ours."""
        service = _text(value, "service")
        return service is not None and service not in self._ports


async def _bindings(
    tx: Transaction, stored: StoredObject, keys: list[Any]
) -> dict[Any, tuple[InactiveBinding, ...]]:
    """The inactive bindings of ports, by port; none for objects of other types."""
    if not isinstance(stored.repository, PortRepository) or not keys:
        return {}
    return {**await stored.repository.bindings.of_ports(tx, keys)}


class AnswerKeys:
    """`/controller/<service>/<Port>/<port id>[/<host>]`, written by shims.

    Of ports that are gone they go; so do those of hosts on which a port has no inactive binding.
    """

    def __init__(self, keys: Keys, port: StoredObject) -> None:
        self._keys = keys
        self._port = port
        self._parts = (port.model.service, port.api.name)
        self.prefix = keys.answers(*self._parts)

    async def wanted(self, tx: Transaction, found: Found, *, lock: bool = False) -> Wanted:
        """See KeyRange."""
        wanted: Wanted = dict.fromkeys(found, LEFT_ALONE)
        meant: dict[str, list[str]] = {}
        for key in found:
            segments = self._keys.parse(key).segments
            if len(segments) in (3, 4) and _is_text(key):
                meant.setdefault(segments[2], []).append(key)
        asked = [port_id for port_id in meant if "\0" not in port_id]
        there = await self._port.repository.get_many(tx, asked, lock=lock)
        bindings = await _bindings(tx, self._port, list(there))
        for port_id, keys in meant.items():
            hosts = {binding.host for binding in bindings.get(port_id, ())}
            for key in keys:
                of_host = self._keys.parse(key).segments[3:]
                if port_id not in there or (of_host and of_host[0] not in hosts):
                    del wanted[key]
        return wanted

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> tuple[list[str], Any]:
        """None: an answer that isn't there is its controller's to give."""
        return [], None

    async def count(self, tx: Transaction) -> int:
        """See KeyRange."""
        return 0


class ModelKeys:
    """`/gluon/models/<service>/<version>`, of some services."""

    def __init__(
        self,
        keys: Keys,
        services: Sequence[str],
        applied: AppliedModels,
        controllers: ControllersByService,
    ) -> None:
        self.prefix = keys.models()
        self._controllers = controllers
        self._keys = keys
        self._services = frozenset(services)
        self._applied = applied

    async def wanted(self, tx: Transaction, found: Found, *, lock: bool = False) -> Wanted:
        """See KeyRange. An applied model never changes, so there is nothing to lock."""
        wanted = {key: value for key, value in (await self._all(tx)).items() if key in found}
        for key in found:
            segments = self._keys.parse(key).segments[1:]
            if len(segments) != 2 or segments[0] not in self._services or not _is_text(key):
                wanted[key] = LEFT_ALONE
        return wanted

    async def keys_after(self, tx: Transaction, marker: Any, limit: int) -> tuple[list[str], Any]:
        """See KeyRange. There are few enough to give them at once."""
        return list(await self._all(tx)), None

    async def count(self, tx: Transaction) -> int:
        """See KeyRange."""
        return len(await self._all(tx))

    async def _all(self, tx: Transaction) -> Wanted:
        return {
            self._keys.model(a.service, a.version): model_value(
                *(a.service, a.version, a.digest, a.document), self._controllers.required(a.service)
            )
            for a in await self._applied.all(tx)
            if a.service in self._services
        }


def _is_text(key: str) -> bool:
    """Keys that are not UTF-8 are nobody's that we know."""
    return key.isascii() or not any("\ud800" <= character <= "\udfff" for character in key)


def _text(value: bytes | None, name: str) -> str | None:
    """A string in a JSON object; None where there is none."""
    try:
        found = msgspec.json.decode(value or b"", type=dict[str, Any]).get(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
