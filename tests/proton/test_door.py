"""The door for writes: what follows from a change, and what a rehearsal finds before a commit would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gluon.etcd.keys import Keys
from gluon.model.catalog import load_catalog
from gluon.proton.audit import AuditLog
from gluon.proton.change import Change
from gluon.proton.documents import EtcdDocuments
from gluon.proton.door import Door
from gluon.proton.hosting import Hosting
from gluon.proton.options import load
from gluon.proton.registry import Proton
from gluon.proton.write_request import Author
from gluon.store.database import Database, ReferenceViolation, Transaction
from gluon.store.outbox import Outbox
from gluon.store.sqlite import SqliteDatabase
from proton.serving import TENANT, port

AUTHOR = Author("noauth")
NOBODY = "00000000-0000-0000-0000-000000000009"


@dataclass
class House:
    door: Door
    proton: Proton
    database: Database
    outbox: Outbox


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database = SqliteDatabase(tmp_path / "gluon.sqlite")
    await database.start()
    conf, _ = load([], "test")
    outbox, keys = Outbox(database.dialect), Keys("")
    hosted = await Hosting(conf, database, outbox, keys).host(load_catalog(None), ["net-l3vpn"])
    proton = hosted.registry.current("net-l3vpn")
    assert proton is not None
    yield House(Door(database, outbox, EtcdDocuments(keys, "http://a"), AuditLog()), proton, database, outbox)
    await database.close()


def inserting(house: House, name: str, /, **values: Any) -> Any:
    hosted = house.proton.objects[name]

    async def work(tx: Transaction, changes: list[Change]) -> dict[str, Any]:
        row = await hosted.repository.insert(tx, {"tenant_id": TENANT} | values)
        changes.append(Change(hosted, None, row))
        return row

    return work


def deleting(house: House, name: str, key: str) -> Any:
    hosted = house.proton.objects[name]

    async def work(tx: Transaction, changes: list[Change]) -> None:
        before = await hosted.repository.get(tx, key)
        await hosted.repository.delete(tx, key)
        changes.append(Change(hosted, before, None))

    return work


async def test_a_rehearsal_leaves_neither_rows_nor_outbox(house: House) -> None:
    depth = await house.database.read(house.outbox.depth)
    row = await house.door.rehearse(house.proton, inserting(house, "VpnService", id=NOBODY, name="a"))
    assert row["revision_number"] == 1
    assert await house.database.read(house.outbox.depth) == depth
    assert (await house.door.write(AUTHOR, inserting(house, "VpnService", id=NOBODY)))["name"] is None
    assert await house.database.read(house.outbox.depth) == depth + 1


async def test_a_reference_that_would_lead_nowhere_is_found_as_a_commit_finds_it(house: House) -> None:
    dangling = inserting(house, "Interface", id=NOBODY, port_id=NOBODY)
    with pytest.raises(ReferenceViolation) as of_the_rehearsal:
        await house.door.rehearse(house.proton, dangling)
    with pytest.raises(ReferenceViolation) as of_the_commit:
        await house.door.write(AUTHOR, dangling)
    assert str(of_the_rehearsal.value) == str(of_the_commit.value)


async def test_what_is_still_referred_to_is_found_as_well(house: House) -> None:
    wanted = port(id=NOBODY)
    await house.door.write(AUTHOR, inserting(house, "Port", **wanted))
    await house.door.write(AUTHOR, inserting(house, "Interface", id=NOBODY, port_id=NOBODY))
    with pytest.raises(ReferenceViolation):
        await house.door.rehearse(house.proton, deleting(house, "Port", NOBODY))
    await house.door.rehearse(house.proton, deleting(house, "Interface", NOBODY))
