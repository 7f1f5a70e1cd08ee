"""Rows of objects: written, read, changed, deleted, and who refers to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gluon.store.database import Database, DatabaseError, ReferenceViolation, Transaction, UniqueViolation
from gluon.store.identities import Identities
from gluon.store.ports import PortIds
from gluon.store.repository import Referrer
from store.models import ALL_TYPES, NETWORK, model
from store.stores import TENANT_ID, Store, open_store

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
THING = st.fixed_dictionaries(
    {
        "name": TEXT,
        "text": st.none() | TEXT,
        "Text": st.none() | st.sampled_from(["007", "1e3", "NULL", " a ", "true", "1.50", "É", "e\u0301"]),
        "order": st.none() | st.integers(-(2**63), 2**63 - 1),
        "size": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "on": st.none() | st.booleans(),
        "uuid": st.none() | st.uuids().map(str) | st.uuids().map(lambda u: u.hex.upper()),
        "colour": st.none() | st.sampled_from(["red", "green"]),
        "data": st.none() | st.just("{ }") | st.just('"' + "x" * 65000 + '"'),
    }
)
QUICK = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    yield await open_store(database, NETWORK)


@pytest.fixture
async def things(database: Database) -> AsyncIterator[Store]:
    yield await open_store(database, ALL_TYPES)


async def get(store: Store, name: str, key: Any) -> dict[str, Any] | None:
    return await store.database.read(lambda tx: store[name].get(tx, key))


@QUICK
@given(thing=THING, changes=THING)
async def test_values_of_every_type_come_back_as_they_went_in(
    things: Store, thing: dict[str, Any], changes: dict[str, Any]
) -> None:
    def alike(row: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
        if row is None:
            return False
        types = {"order": int, "size": float, "on": bool}
        shown = {name: row[name] for name in wanted}
        return shown == wanted and all(
            row[name] is None or type(row[name]) is types.get(name, str) for name in wanted
        )

    async def work(tx: Transaction) -> None:
        repository = things["Thing"]
        inserted = await repository.insert(tx, thing)
        assert alike(inserted, thing)
        assert await repository.get(tx, thing["name"]) == inserted
        del changes["name"]
        updated = await repository.update(tx, thing["name"], changes)
        assert alike(updated, {**thing, **changes})
        assert await repository.get(tx, thing["name"]) == updated

    await things.undone(work)


async def test_a_row_is_in_declared_order_with_the_systems_columns_behind(store: Store) -> None:
    row = await store.insert("Interface", id="i", port_id=(await store.insert("Port", id="p"))["id"])

    assert list(row) == [
        *NETWORK.objects["Interface"].attributes,
        "created_at",
        "updated_at",
        "revision_number",
    ]
    assert row["revision_number"] == 1
    assert row["created_at"] == row["updated_at"]
    assert len(row["created_at"]) == 27
    assert row["created_at"].endswith("Z")
    assert list(row) == list(await get(store, "Interface", "i") or ())


async def test_a_missing_row_is_none(store: Store) -> None:
    assert await get(store, "Port", "nobody") is None
    assert await store.database.write(lambda tx: store["Port"].update(tx, "nobody", {"name": "n"})) is None
    assert await store.database.write(lambda tx: store["Port"].delete(tx, "nobody")) is False


async def test_text_compares_byte_for_byte(things: Store) -> None:
    for name in ("a", "A", "a ", "á", "a\u0301"):
        await things.insert("Thing", name=name)

    assert await get(things, "Thing", "A ") is None
    assert (await get(things, "Thing", "a "))["name"] == "a "  # type: ignore[index]


async def test_an_update_changes_what_is_given_and_counts_the_revision(store: Store) -> None:
    before = await store.insert("Port", id="p", name="old", mtu=1500)

    after = await store.database.write(lambda tx: store["Port"].update(tx, "p", {"name": None}))

    assert after is not None
    assert after == {**before, "name": None, "revision_number": 2, "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert await get(store, "Port", "p") == after


async def test_an_update_can_depend_on_the_revision(store: Store) -> None:
    await store.insert("Port", id="p")

    async def update(revision: int) -> dict[str, Any] | None:
        return await store.database.write(lambda tx: store["Port"].update(tx, "p", {"name": "n"}, revision))

    assert await update(2) is None
    assert (await update(1) or {})["revision_number"] == 2
    assert await update(1) is None


async def test_of_many_updates_at_one_revision_one_wins(store: Store) -> None:
    await store.insert("Port", id="p")

    rows = await asyncio.gather(
        *[
            store.database.write(lambda tx, n=n: store["Port"].update(tx, "p", {"name": str(n)}, 1))
            for n in range(50)
        ]
    )

    assert len([row for row in rows if row is not None]) == 1


async def test_several_rows_are_read_at_once(store: Store) -> None:
    keys = [f"{n:04}" for n in range(1100)]

    async def work(tx: Transaction) -> None:
        for key in keys:
            await store["Vpn"].insert(tx, {"id": key, "tenant_id": TENANT_ID})
        found = await store["Vpn"].get_many(tx, [*keys, "nobody"])
        assert sorted(found) == keys
        assert found["0007"]["id"] == "0007"
        assert await store["Vpn"].get_many(tx, []) == {}

    await store.undone(work)


async def test_a_taken_key_is_a_violation_that_names_it(store: Store) -> None:
    await store.insert("Port", id="p")

    with pytest.raises(UniqueViolation, match="there is already a port with this id") as caught:
        await store.insert("Port", id="p")

    assert (caught.value.object, caught.value.attributes) == ("Port", ("id",))


async def test_port_ids_are_unique_over_all_services(store: Store) -> None:
    other = await open_store(store.database, model("other", *NETWORK.objects.values()))
    port_ids = PortIds(store.database.dialect)
    await store.insert("Port", id="p")
    with pytest.raises(UniqueViolation) as caught:
        await other.insert("Port", id="p")
    assert caught.value.attributes == ("id",)
    assert await store.database.read(lambda tx: port_ids.service_of(tx, "p")) == "net-test"

    await store.database.write(lambda tx: store["Port"].delete(tx, "p"))
    await other.insert("Port", id="p")

    assert await store.database.read(lambda tx: port_ids.service_of(tx, "p")) == "other"
    assert await store.database.read(lambda tx: port_ids.service_of(tx, "q")) is None


async def test_an_attribute_may_name_an_object_of_any_one_of_several_types(store: Store) -> None:
    assert store.schema.identities is not None
    identities = Identities(store.schema.identities, store.database.dialect)
    await store.insert("Port", id="p")
    await store.insert("Interface", id="p", port_id="p")
    await store.insert("Chain", id="c")

    with pytest.raises(ReferenceViolation):
        await store.insert("Binding", interface_id="p", service_id="p")
    await store.insert("Binding", interface_id="p", service_id="c")

    assert await store.database.read(lambda tx: identities.objects_of(tx, ["c", "p"])) == {"c": "Chain"}
    with pytest.raises(UniqueViolation, match="there is already a vpn or chain with this id"):
        await store.insert("Vpn", id="c")
    with pytest.raises(ReferenceViolation):
        await store.database.write(lambda tx: store["Chain"].delete(tx, "c"))


async def test_referrers_are_all_that_name_a_row(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        for port in ("p", "q"):
            await store["Port"].insert(tx, {"id": port, "tenant_id": TENANT_ID})
        for number in range(5):
            values = {"id": f"i{number}", "port_id": "p", "tenant_id": TENANT_ID}
            await store["Interface"].insert(tx, values)
        await store["Vpn"].insert(tx, {"id": "v", "tenant_id": TENANT_ID})
        binding = {"interface_id": "i1", "service_id": "v", "tenant_id": TENANT_ID}
        await store["Binding"].insert(tx, binding)

        found = await store["Port"].referrers(tx, "p")
        assert found == [Referrer("Interface", "port_id", f"i{n}") for n in range(5)]
        assert await store["Port"].referrers(tx, "p", limit=2) == found[:2]
        assert await store["Port"].referrers(tx, "q") == []
        assert await store["Vpn"].referrers(tx, "v") == [Referrer("Binding", "service_id", "i1")]
        assert await store["Interface"].referrers(tx, "i1") == [Referrer("Binding", "interface_id", "i1")]

    await store.undone(work)


async def test_a_value_that_no_column_can_hold_is_an_error_of_the_database(things: Store) -> None:
    with pytest.raises(DatabaseError):
        await things.insert("Thing", name="n", order=2**64)
