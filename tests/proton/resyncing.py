"""A database with objects, its relay and an etcd, without a server: what resync works between."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gluon.etcd.client import Etcd, Listing, Op, Outcome
from gluon.etcd.keys import Keys
from gluon.etcd.transaction import Compare
from gluon.model.model import Model
from gluon.proton.documents import EtcdDocuments, model_value
from gluon.proton.key_ranges import StoredObject
from gluon.proton.relay import Relay
from gluon.proton.resync import Counts, Resync
from gluon.proton.resync_scope import StoredServices
from gluon.store.database import Database, Transaction, open_database
from gluon.store.etcd_memory import EtcdMemory
from gluon.store.outbox import Outbox
from gluon.store.schema import Schema
from model.written import compile_text

URL = "http://proton.example:2705"
TENANT = "a868a466bca84df18404a77db0ecac72"

NETWORK = """\
    file_version: "1.0"
    imports: base/base.yaml
    info: {name: acme, version: "1.0"}
    objects:
      Port: {extends: BasePort, api: {name: port, plural_name: ports}}
      Interface:
        extends: BaseInterface
        api: {name: interface, plural_name: interfaces, parent: Port, parent_key: port_id}
        attributes: {port_id: {type: Port}}
      Vpn: {extends: BaseService, api: {name: vpn, plural_name: vpns}}
      Word:
        api: {name: word}
        attributes: {text: {type: string, primary: true}, meaning: {type: string}}
      Count:
        api: {name: count}
        attributes: {number: {type: integer, primary: true}, meaning: {type: string}}
    """

Key = tuple[str, Any]
"""An object: the name of its type, and its key."""


def network() -> Model:
    model = compile_text(NETWORK).model
    assert model is not None
    return model


class StagedEtcd(Etcd):
    """Lets a test do something at the points where a resync could be overtaken."""

    after_page: Callable[[], Awaitable[None]] | None = None
    after_second_look: Callable[[], Awaitable[None]] | None = None

    async def pages(self, prefix: str, *, revision: int = 0, page: int = 1_000) -> AsyncIterator[Listing]:
        async for part in super().pages(prefix, revision=revision, page=page):
            # The models come first, and nothing that happens after their page is anything to a resync.
            if any("/proton/" in item.key for item in part.items) and self.after_page is not None:
                act, self.after_page = self.after_page, None
                await act()
            yield part

    async def transact(
        self, compare: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> Outcome:
        outcome = await super().transact(compare, then, otherwise)
        if self.after_second_look is not None:
            act, self.after_second_look = self.after_second_look, None
            await act()
        return outcome


@dataclass
class Town:
    """Objects are created, changed and deleted here as the server does it: under lock, with their rows."""

    database: Database
    outbox: Outbox
    memory: EtcdMemory
    etcd: StagedEtcd
    keys: Keys
    objects: Mapping[str, StoredObject]
    documents: EtcdDocuments
    url: str
    relays: list[Relay] = field(default_factory=list)

    def resync(self, **options: Any) -> Resync:
        return Resync(self.database, self.outbox, self.etcd, self.keys, URL, **options)

    async def check(self) -> Counts:
        return await self.resync().check()

    async def repair(self) -> Counts:
        return await self.resync().repair()

    async def repaired(self) -> Counts:
        """After a repair whose rows have reached etcd."""
        counts = await self.repair()
        await self.drained()
        return counts

    def relay(self) -> Relay:
        """One that has a client of its own, as a server's has."""
        relay = Relay(
            self.database, self.outbox, Etcd([self.url], timeout=2.0), self.keys, lease=2, memory=self.memory
        )
        self.relays.append(relay)
        return relay

    def key(self, name: str, key: Any) -> str:
        return self.keys.object("acme", name, str(key))

    async def create(self, name: str, key: Any = None, /, **values: Any) -> Any:
        key = key if key is not None else str(uuid.uuid4())
        await self.database.write(lambda tx: self._insert(tx, name, key, values))
        return key

    async def create_ports(self, count: int) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in range(count)]

        async def work(tx: Transaction) -> None:
            for port_id in ids:
                await self._insert(tx, "Port", port_id, {})

        await self.database.write(work)
        return ids

    async def change(self, name: str, key: Any, /, **values: Any) -> None:
        await self.database.write(lambda tx: self._update(tx, name, key, values))

    async def delete(self, name: str, key: Any) -> None:
        async def work(tx: Transaction) -> None:
            stored = self.objects[name]
            if await stored.repository.get(tx, key, lock=True) is None:
                return
            await stored.repository.delete(tx, key)
            await self.outbox.add(tx, self.documents.removed(stored, key))

        await self.database.write(work)

    async def _insert(self, tx: Transaction, name: str, key: Any, values: Mapping[str, Any]) -> None:
        stored = self.objects[name]
        row = {stored.api.key: key, **_required(stored), **values}
        await self.outbox.add(tx, self.documents.stored(stored, await stored.repository.insert(tx, row)))

    async def _update(self, tx: Transaction, name: str, key: Any, values: Mapping[str, Any]) -> None:
        stored = self.objects[name]
        if await stored.repository.get(tx, key, lock=True) is None:
            return
        row = await stored.repository.update(tx, key, values)
        assert row is not None
        await self.outbox.add(tx, self.documents.stored(stored, row))

    async def rows(self) -> dict[str, bytes]:
        """What etcd should have of all objects."""

        async def work(tx: Transaction) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for stored in self.objects.values():
                keys = await stored.repository.keys_after(tx, None, 1_000_000)
                for row in (await stored.repository.get_many(tx, keys)).values():
                    found.update((k, v) for k, v in self.documents.stored(stored, row) if v is not None)
            return found

        return await self.database.read(work)

    async def stored(self) -> dict[str, bytes]:
        """What etcd has of them."""
        items = [i for p in (self.keys.objects(), self.keys.ports()) for i in (await self.etcd.list(p)).items]
        return {item.key: item.value for item in items}

    async def value(self, name: str, key: Any) -> Any:
        found = await self.etcd.get(self.key(name, key))
        return msgspec.json.decode(found.value) if found is not None else None

    async def depth(self) -> int:
        return await self.database.read(self.outbox.depth)

    async def drained(self, within: float = 30.0) -> None:
        async with asyncio.timeout(within):
            while await self.depth():
                await asyncio.sleep(0.01)


def _required(stored: StoredObject) -> dict[str, Any]:
    if "tenant_id" not in stored.api.attributes:
        return {}
    common = {"tenant_id": TENANT, "name": "made"}
    if stored.api.name != "Port":
        return common
    return common | {
        "mac_address": "c8:2a:14:04:43:80",
        "mtu": 1500,
        "admin_state_up": True,
        "vlan_transparency": True,
        "vnic_type": "normal",
        "status": "ACTIVE",
    }


@asynccontextmanager
async def town(database_url: str, etcd_url: str, prefix: str) -> AsyncIterator[Town]:
    """One with the service `acme`, whose model waits in the outbox."""
    database = open_database(database_url)
    await database.start()
    etcd = StagedEtcd([etcd_url], timeout=2.0)
    try:
        schema, outbox, keys = Schema(database), Outbox(database.dialect), Keys(prefix)
        await schema.prepare()

        async def publish(tx: Transaction, model: Model) -> None:
            value = model_value(model.service, model.version, model.digest, model.document)
            await outbox.add(tx, [(keys.model(model.service, model.version), value)])

        await schema.install(network(), publish)
        objects = (await StoredServices.read(database)).objects["acme"]
        documents = EtcdDocuments(keys, URL)
        yield Town(database, outbox, EtcdMemory(database.dialect), etcd, keys, objects, documents, etcd_url)
    finally:
        await database.close()
        await etcd.close()


@asynccontextmanager
async def relaying(here: Town) -> AsyncIterator[Relay]:
    relay = here.relay()
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await task
