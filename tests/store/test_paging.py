"""Lists: pages put together are the whole, whatever the order and whatever is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gluon.store.database import Database, Transaction
from gluon.store.paging import MarkerNotFound, PageQuery
from store.models import BOOLEAN, INTEGER, NUMBER, TENANT, api_object, attribute, model
from store.stores import Store, open_store

LISTED = model(
    "lists",
    api_object(
        "Item",
        [
            attribute("id", INTEGER),
            TENANT,
            attribute("colour"),
            attribute("rank", INTEGER),
            attribute("weight", NUMBER),
            attribute("on", BOOLEAN),
        ],
    ),
    api_object("Ownerless", [attribute("id", INTEGER)]),
)
TENANTS = ("a868a466bca84df18404a77db0ecac72", "A868A466-BCA8-4DF1-8404-A77DB0ECAC72", "other")
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "tenant_id": st.sampled_from(TENANTS),
            "colour": st.none() | st.sampled_from(["", "Red", "red", "red ", "é"]),
            "rank": st.none() | st.integers(-2, 2),
            "weight": st.none() | st.sampled_from([-1.5, 0.0, 1e300]),
            "on": st.none() | st.booleans(),
        }
    ),
    max_size=25,
)
SORT = st.lists(
    st.tuples(
        st.sampled_from(["id", "colour", "rank", "weight", "on", "created_at", "revision_number"]),
        st.booleans(),
    ),
    max_size=4,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "colour": st.lists(st.none() | st.sampled_from(["Red", "red", "green"]), max_size=3),
        "rank": st.lists(st.none() | st.integers(-2, 2), max_size=5),
        "on": st.lists(st.none() | st.booleans(), min_size=1, max_size=2),
    },
)
QUICK = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    yield await open_store(database, LISTED)


def place(value: Any) -> tuple[bool, Any]:
    """NULL sorts before all values; text by its bytes."""
    return (value is not None, value.encode() if isinstance(value, str) else value or 0)


def in_order(rows: list[dict[str, Any]], sort: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    rows = sorted(rows, key=lambda row: row["id"])
    for name, descending in reversed(sort):
        rows = sorted(rows, key=lambda row, name=name: place(row[name]), reverse=descending)  # type: ignore[misc]
    return rows


async def insert_all(tx: Transaction, store: Store, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [await store["Item"].insert(tx, {"id": n, **item}) for n, item in enumerate(items)]


@QUICK
@given(items=ITEMS, sort=SORT, filters=FILTERS, limit=st.integers(1, 7), owned=st.booleans())
async def test_pages_put_together_are_the_sorted_list(
    store: Store,
    items: list[dict[str, Any]],
    sort: list[tuple[str, bool]],
    filters: dict[str, list[Any]],
    limit: int,
    owned: bool,
) -> None:
    tenant = TENANTS[0] if owned else None

    async def work(tx: Transaction) -> None:
        rows = await insert_all(tx, store, items)
        wanted = [
            row
            for row in rows
            if all(row[name] in values for name, values in filters.items())
            and (tenant is None or row["tenant_id"] in TENANTS[:2])
        ]
        found: list[dict[str, Any]] = []
        marker = None
        more = True
        while more:
            query = PageQuery(limit=limit, filters=filters, sort=sort, marker=marker, tenant=tenant)
            page, more = await store["Item"].page(tx, query)
            assert len(page) == limit if more else len(page) <= limit
            found += page
            marker = page[-1]["id"] if page else None
        assert [row["id"] for row in found] == [row["id"] for row in in_order(wanted, sort)]
        assert sorted(found, key=lambda row: row["id"]) == wanted

    await store.undone(work)


async def listed(store: Store, tx: Transaction, **query: Any) -> list[int]:
    rows, _ = await store["Item"].page(tx, PageQuery(limit=100, **query))
    return [row["id"] for row in rows]


async def test_a_tenant_is_found_in_either_spelling(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        await insert_all(tx, store, [{"tenant_id": tenant} for tenant in TENANTS])
        for spelling in TENANTS[:2]:
            assert await listed(store, tx, tenant=spelling) == [0, 1]
            assert await listed(store, tx, filters={"tenant_id": [spelling]}) == [0, 1]
        assert await listed(store, tx, filters={"tenant_id": [*TENANTS]}) == [0, 1, 2]
        await store["Item"].update(tx, 0, {"tenant_id": "other"})
        assert await listed(store, tx, tenant="other") == [0, 2]

    await store.undone(work)


async def test_what_has_no_owner_is_nobodys_own(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        await store["Ownerless"].insert(tx, {"id": 1})
        assert await store["Ownerless"].page(tx, PageQuery(limit=1, tenant="a")) == ([], False)
        assert len((await store["Ownerless"].page(tx, PageQuery(limit=1))).rows) == 1

    await store.undone(work)


async def test_in_the_default_order_the_marked_row_may_be_gone(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        await insert_all(tx, store, [{"tenant_id": "a"}] * 4)
        await store["Item"].delete(tx, 1)
        assert await listed(store, tx, marker=1) == [2, 3]
        assert await listed(store, tx, marker=2, sort=[("id", True)]) == [0]

    await store.undone(work)


async def test_in_any_other_order_a_marked_row_that_is_gone_is_told(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        await insert_all(tx, store, [{"tenant_id": "a"}] * 4)
        with pytest.raises(MarkerNotFound, match="no Item 9"):
            await listed(store, tx, marker=9, sort=[("rank", False)])
        with pytest.raises(MarkerNotFound):
            await listed(store, tx, marker=1, sort=[("rank", False)], tenant="b")

    await store.undone(work)


async def test_many_values_of_a_filter_are_fine(store: Store) -> None:
    async def work(tx: Transaction) -> None:
        await insert_all(tx, store, [{"tenant_id": "a", "rank": n} for n in range(3)])
        assert await listed(store, tx, filters={"rank": list(range(1, 5000))}) == [1, 2]

    await store.undone(work)
