"""Answers to binds: who comes first is decided by one UPDATE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gluon.particle.tables import BindState
from gluon.store.database import Database
from store.models import NETWORK
from store.stores import Store, open_store

BOUND = {"vif_type": "ovs", "vif_details": '{"port_filter": false}', "status": "ACTIVE"}
FAILED = {"vif_type": "binding_failed"}


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    opened = await open_store(database, NETWORK)
    for port_id in ("p", "q"):
        await opened.insert(
            "Port", id=port_id, status="DOWN", bind_id=f"bind-{port_id}", bind_state=BindState.PENDING
        )
    await opened.insert("Port", id="unbound", status="DOWN")
    yield opened


async def answer(
    store: Store, bind_id: str, state: BindState = BindState.ANSWERED, **changes: Any
) -> dict[str, Any] | None:
    return await store.database.write(
        lambda tx: store.ports.take_answer(tx, "p", bind_id, {**BOUND, **changes}, state)
    )


async def time_out(store: Store, bind_id: str) -> dict[str, Any] | None:
    return await store.database.write(lambda tx: store.ports.time_out(tx, "p", bind_id, FAILED))


async def unanswered(store: Store) -> list[tuple[str, str]]:
    return await store.database.read(store.ports.unanswered)


async def test_the_answer_to_the_pending_bind_is_stored(store: Store) -> None:
    row = await answer(store, "bind-p")

    assert row is not None
    assert row == await store.database.read(lambda tx: store.ports.get(tx, "p"))
    assert {name: row[name] for name in BOUND} == BOUND
    assert (row["bind_state"], row["revision_number"]) == (BindState.ANSWERED, 2)


async def test_an_answer_to_an_earlier_bind_is_not(store: Store) -> None:
    assert await answer(store, "bind-before") is None


async def test_of_many_answers_the_first_is_taken(store: Store) -> None:
    rows = await asyncio.gather(*[answer(store, "bind-p", vif_type=f"type {n}") for n in range(20)])

    assert [row is not None for row in rows] == [True] + [False] * 19


async def test_a_late_answer_replaces_the_failure(store: Store) -> None:
    timed_out = await time_out(store, "bind-p")
    assert timed_out is not None
    assert (timed_out["vif_type"], timed_out["bind_state"]) == ("binding_failed", BindState.TIMED_OUT)

    late = await answer(store, "bind-p")
    assert late is not None
    assert (late["vif_type"], late["bind_state"]) == ("ovs", BindState.ANSWERED)


async def test_what_is_answered_does_not_time_out(store: Store) -> None:
    await answer(store, "bind-p", BindState.REFUSED, **FAILED)

    assert await time_out(store, "bind-p") is None
    assert await answer(store, "bind-p") is None


async def test_ports_that_would_take_an_answer_are_listed(store: Store) -> None:
    assert await unanswered(store) == [("p", "bind-p"), ("q", "bind-q")]

    await time_out(store, "bind-p")
    assert await unanswered(store) == [("p", "bind-p"), ("q", "bind-q")]

    await answer(store, "bind-p")
    assert await unanswered(store) == [("q", "bind-q")]
