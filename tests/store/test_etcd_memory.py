"""What the database remembers of etcd, and whose word counts."""

from __future__ import annotations

from gluon.store.database import Database
from gluon.store.etcd_memory import EtcdMemory, Position, Remembered

FIRST, SECOND, THIRD = Position(2**64 - 1, 7), Position(2**64 - 1, 9), Position(5, 3)


async def test_only_who_knows_what_is_remembered_may_change_it(database: Database) -> None:
    memory = EtcdMemory(database.dialect)

    async def noted(now: Position, last: Position | None) -> bool:
        return await database.write(lambda tx: memory.note(tx, now, last))

    async def owed(last: Position | None) -> bool:
        return await database.write(lambda tx: memory.owe(tx, 5, last, "wiped"))

    assert await database.read(memory.recall) is None
    assert not await noted(SECOND, FIRST)
    assert await noted(FIRST, None)
    # Noted again, by a leader that looked before.
    assert not await noted(SECOND, None)
    assert await noted(FIRST, FIRST)
    assert await noted(SECOND, FIRST)
    assert not await noted(THIRD, FIRST)
    assert not await owed(FIRST)
    assert await database.read(memory.recall) == Remembered(*SECOND, None)
    assert await owed(SECOND)
    found = await database.read(memory.recall)
    assert found is not None and found.debt is not None
    assert (found.position, found.debt.reason) == (Position(5, 0), "wiped")


async def test_a_debt_is_settled_once_and_not_for_another(database: Database) -> None:
    memory = EtcdMemory(database.dialect)
    assert await database.write(lambda tx: memory.owe(tx, 5, None, "wiped"))
    first = await database.read(memory.recall)
    assert first is not None and (debt := first.debt) is not None
    assert await database.write(lambda tx: memory.owe(tx, 5, first.position, "wiped again"))
    assert not await database.write(lambda tx: memory.settle(tx, debt))
    second = await database.read(memory.recall)
    assert second is not None and (newer := second.debt) is not None
    assert await database.write(lambda tx: memory.settle(tx, newer))
    assert await database.read(memory.recall) == Remembered(5, 0, None)
