"""From a model to tables: names, foreign keys, and the record that the tables are there."""

from __future__ import annotations

import pytest

from gluon.model.model import Model
from gluon.store.applied import AppliedModels
from gluon.store.database import Database, ReferenceViolation, Transaction, UniqueViolation
from gluon.store.schema import ModelDiffers, Schema
from gluon.store.statement import Statement
from store.models import ALL_TYPES, ID, INTEGER, NAME, NETWORK, api_object, attribute, model, reference
from store.stores import open_store

_TABLES = {
    "sqlite": "SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name",
    "postgresql": "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    "mysql": "SELECT table_name, create_time FROM information_schema.tables WHERE table_schema = database()",
}


async def described(database: Database) -> dict[str, object]:
    """The tables (and more) that there are by name, each with something that changes when it is made anew."""
    statement = Statement(_TABLES[database.dialect.name])
    return {row[0]: row[1] for row in await database.read(lambda tx: tx.fetch(statement))}


async def test_a_model_is_installed_once_and_found_again(database: Database) -> None:
    first = await Schema(database).install(NETWORK)
    tables = await described(database)
    again = await Schema(database).install(NETWORK)

    assert await described(database) == tables
    assert {n: t.table.name for n, t in again.tables.items()} == {
        n: t.table.name for n, t in first.tables.items()
    }
    assert first.tables["Port"].table.name == "net_test_port"


async def test_system_tables_are_prepared_any_number_of_times(database: Database) -> None:
    tables = await described(database)
    await Schema(database).prepare()

    assert await described(database) == tables


async def test_the_applied_model_is_kept_as_it_is(database: Database) -> None:
    applied = AppliedModels(database.dialect)
    await Schema(database).install(NETWORK)
    await Schema(database).install(ALL_TYPES)

    first, second = await database.read(applied.all)
    assert (first.service, first.version, first.digest) == ("net-test", "1.0", NETWORK.digest)
    assert first.document == NETWORK.document
    assert list(first.document["objects"]) == list(NETWORK.objects)
    assert await database.read(lambda tx: applied.of(tx, "types")) == [second]
    assert await database.read(lambda tx: applied.of(tx, "unheard-of")) == []


async def test_another_model_of_the_same_service_is_refused(database: Database) -> None:
    await Schema(database).install(model("things", api_object("Thing", [ID])))

    with pytest.raises(ModelDiffers, match=r"tables of things were made for version 1\.0"):
        await Schema(database).install(model("things", api_object("Thing", [ID]), version="2.0"))


async def test_what_belongs_to_an_installation_fails_it_as_a_whole(database: Database) -> None:
    tables = await described(database)
    published: list[str] = []

    async def refuse(tx: Transaction, installed: Model) -> None:
        raise LookupError

    async def publish(tx: Transaction, installed: Model) -> None:
        published.append(installed.service)

    with pytest.raises(LookupError):
        await Schema(database).install(NETWORK, refuse)
    if database.transactional_ddl:
        assert await described(database) == tables

    await Schema(database).install(NETWORK, publish)
    await Schema(database).install(NETWORK, publish)
    assert published == ["net-test"]


async def test_names_that_clash_on_paper_get_tables_and_columns_of_their_own(
    database: Database,
) -> None:
    names = ["Name", "name", "NAME", "system_owner", "Updated_At", "select", "rowid"]
    clashing = [attribute(n) for n in names]
    services = ("a-b", "a_b", "sqlite", "gluon", "x" * 255)
    for service in services:
        store = await open_store(
            database,
            model(
                service,
                api_object("Thing", [ID, *clashing]),
                api_object("thing", [ID]),
                api_object("names", [ID]),
            ),
        )
        row = await store.insert("Thing", id="1", **{n: f"{service} {n}" for n in names})
        assert await database.read(lambda tx, store=store: store["Thing"].get(tx, "1")) == row  # type: ignore[misc]

    physical = [n for n in await described(database) if not n.startswith(("sqlite_autoindex", "ix_"))]
    assert all(len(name) <= 60 for name in physical)


async def test_objects_may_refer_to_themselves_and_in_circles(database: Database) -> None:
    circle = model(
        "circle",
        api_object("Node", [ID, reference("next", "Node"), reference("home", "House")]),
        api_object("House", [ID, reference("guest", "Node")]),
    )
    store = await open_store(database, circle)

    async def work(tx: Transaction) -> None:
        await store["Node"].insert(tx, {"id": "n", "next": "n", "home": "h"})
        await store["House"].insert(tx, {"id": "h", "guest": "n"})

    await database.write(work)

    with pytest.raises(ReferenceViolation):
        await store.insert("Node", id="m", next="nobody")
    with pytest.raises(ReferenceViolation):
        await database.write(lambda tx: store["House"].delete(tx, "h"))


async def test_a_chain_of_references_has_the_type_of_the_key_at_its_end(database: Database) -> None:
    chain = model(
        "chain",
        api_object("Last", [reference("before", "Middle", INTEGER)], key="before"),
        api_object("Middle", [reference("first", "First", INTEGER)], key="first"),
        api_object("First", [attribute("number", INTEGER)], key="number"),
    )
    store = await open_store(database, chain)
    await store.insert("First", number=7)
    await store.insert("Middle", first=7)

    assert (await store.insert("Last", before=7))["before"] == 7
    with pytest.raises(ReferenceViolation):
        await store.insert("Middle", first=8)


async def test_columns_may_be_unique_together_beside_the_key(database: Database) -> None:
    store = await open_store(
        database,
        model(
            "pairs",
            api_object("Pair", [ID, NAME, attribute("size", INTEGER)], unique_together=("name", "size")),
        ),
    )
    await store.insert("Pair", id="1", name="a", size=1)
    await store.insert("Pair", id="2", name="a", size=2)

    with pytest.raises(UniqueViolation) as caught:
        await store.insert("Pair", id="3", name="a", size=2)
    assert caught.value.attributes == ("name", "size")
    with pytest.raises(UniqueViolation, match="there is already a pair with this id"):
        await store.insert("Pair", id="2", name="b", size=2)
