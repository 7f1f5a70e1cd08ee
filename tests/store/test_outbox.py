"""The outbox: rows in order, taken away once etcd has them, and those that etcd refuses."""

from __future__ import annotations

import pytest

from gluon.store.database import Database, Transaction
from gluon.store.outbox import Outbox, OutboxRow


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database.dialect)


async def add(database: Database, outbox: Outbox, *changes: tuple[str, bytes | None]) -> None:
    await database.write(lambda tx: outbox.add(tx, changes))


async def pending(database: Database, outbox: Outbox, limit: int = 100, **limits: int) -> list[OutboxRow]:
    return await database.read(lambda tx: outbox.pending(tx, limit, **limits))


async def test_rows_come_in_order_with_the_number_of_their_transaction(
    database: Database, outbox: Outbox
) -> None:
    await add(database, outbox, ("/a", b"1"), ("/b", b"\x00\xff"))
    await add(database, outbox, ("/a", None))

    first, second, third = await pending(database, outbox)

    assert [(r.key, r.value) for r in (first, second, third)] == [
        ("/a", b"1"),
        ("/b", b"\x00\xff"),
        ("/a", None),
    ]
    assert first.id < second.id < third.id
    assert first.transaction == second.transaction != third.transaction


async def test_rows_of_a_transaction_that_fails_are_not_there(database: Database, outbox: Outbox) -> None:
    async def work(tx: Transaction) -> None:
        await outbox.add(tx, [("/a", b"1")])
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)

    assert await pending(database, outbox) == []


async def test_a_batch_is_limited_in_rows_and_bytes_but_never_empty(
    database: Database, outbox: Outbox
) -> None:
    await add(database, outbox, *[(f"/{n}", b"x" * 100) for n in range(5)])

    assert [r.key for r in await pending(database, outbox, 2)] == ["/0", "/1"]
    assert [r.key for r in await pending(database, outbox, max_bytes=350)] == ["/0", "/1", "/2"]
    assert [r.key for r in await pending(database, outbox, max_bytes=10)] == ["/0"]


async def test_rows_that_etcd_has_go_and_their_numbers_never_come_back(
    database: Database, outbox: Outbox
) -> None:
    await add(database, outbox, ("/a", b"1"), ("/b", b"2"))
    rows = await pending(database, outbox)
    await database.write(lambda tx: outbox.remove(tx, [row.id for row in rows]))
    await add(database, outbox, ("/c", b"3"))

    (row,) = await pending(database, outbox)
    assert row.id > max(r.id for r in rows)


async def test_a_row_set_aside_holds_back_its_key_and_no_other(database: Database, outbox: Outbox) -> None:
    await add(
        database, outbox, ("/a", b"1"), ("/poison", b"2"), ("/poison", b"3"), ("/b", b"4"), ("/poison", b"5")
    )
    poison = (await pending(database, outbox))[2]

    assert await database.write(lambda tx: outbox.set_aside(tx, poison.id, "too large"))
    assert await database.write(lambda tx: outbox.set_aside(tx, poison.id, "still too large"))

    assert [r.value for r in await pending(database, outbox)] == [b"1", b"2", b"4"]
    (refused,) = await database.read(outbox.refused)
    assert (refused.id, refused.key, refused.reason) == (poison.id, "/poison", "still too large")
    state = await database.read(outbox.state)
    assert (state.depth, state.set_aside, state.waiting) == (5, 1, 1)
    assert state.oldest_age is not None

    assert await database.write(lambda tx: outbox.retry(tx, poison.id))
    assert not await database.write(lambda tx: outbox.retry(tx, poison.id))
    assert [r.value for r in await pending(database, outbox)] == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize("count", [0, 3, 8, 9, 40])
async def test_a_look_at_few_rows_sees_what_one_at_many_does(
    database: Database, outbox: Outbox, count: int
) -> None:
    await add(database, outbox, ("/poison", b"1"), *[(f"/{n}", b"2" * 100) for n in range(count)])
    poison = (await pending(database, outbox))[0]
    await database.write(lambda tx: outbox.set_aside(tx, poison.id, "no"))

    for limit, max_bytes in ((100, 1 << 20), (100, 1000), (5, 1 << 20), (20, 1 << 20)):
        seen = await outbox.look(database, limit, max_bytes)
        assert [row.key for row in seen] == [f"/{n}" for n in range(count)][: len(seen)]
        # They have 103 bytes each.
        assert len(seen) == min(count, limit, 9 if max_bytes == 1000 else count)


async def test_a_row_set_aside_that_is_removed_holds_nothing_back(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, ("/poison", b"1"), ("/poison", b"2"))
    first, second = await pending(database, outbox)
    await database.write(lambda tx: outbox.set_aside(tx, first.id, "no"))
    assert await pending(database, outbox) == []

    await database.write(lambda tx: outbox.remove(tx, [first.id]))

    assert await pending(database, outbox) == [second]
    assert await database.read(outbox.refused) == []
    assert not await database.write(lambda tx: outbox.set_aside(tx, first.id, "gone"))


async def test_an_empty_outbox_is_healthy(database: Database, outbox: Outbox) -> None:
    state = await database.read(outbox.state)

    assert (state.depth, state.oldest_age, state.set_aside, state.waiting) == (0, None, 0, 0)
    assert await database.read(outbox.depth) == 0
