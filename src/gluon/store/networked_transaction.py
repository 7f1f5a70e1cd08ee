"""One transaction of a networked database, which sends its INSERTs late, several rows at a time.

Every statement is a round trip, and most works only insert: nobody looks at the result of an INSERT. So rows
are kept until another statement needs them there, or the work is over; then each INSERT statement goes out
once, with all of its rows, in the order in which the statements came first. References between rows hold at
the commit, and outbox rows come last: they are numbered when the rows that they tell of are locked.

What is refused then can't be told from where it was asked for. So the transaction is undone with
`RefusedLate`, and the work is run once more, with rows that are sent at once (`at_once`).
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from types import coroutine
from typing import Any

from gluon.store.database import ConstraintViolation, DatabaseError, InvalidValue
from gluon.store.driver import Driver, Session
from gluon.store.statement import Parameters, Statement


class RefusedLate(DatabaseError):
    """Rows were refused that had been kept: run the work again with rows that are sent at once."""


class NetworkedTransaction:
    """What a work gets to run its statements with; see `gluon.store.database.Transaction`.

    Without a session it only keeps rows, and a work that wants more yields once.
    """

    __slots__ = ("_at_once", "_driver", "_later", "failure", "number", "session", "wrote")

    def __init__(self, driver: Driver, session: Session | None = None, *, at_once: bool = False) -> None:
        self.session = session
        self.failure: DatabaseError | None = None
        self.number = random.getrandbits(63)
        self.wrote = False
        self._driver = driver
        self._at_once = at_once
        self._later: dict[str, list[tuple[Any, ...]]] = {}

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        session = await self._ready()
        try:
            return await session.fetch(statement.text, statement.arrange(parameters))
        except self._driver.errors as error:
            raise self._fail(error) from error

    async def execute(self, statement: Statement, parameters: Parameters = ()) -> int:
        """Run a statement; how many rows it touched."""
        session = await self._ready()
        try:
            touched = await session.execute(statement.text, statement.arrange(parameters))
        except self._driver.errors as error:
            raise self._fail(error) from error
        if touched:
            self.wrote = True
        return touched

    async def execute_many(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each of the rows, in order."""
        session = await self._ready()
        if not rows:
            return
        self.wrote = True
        try:
            await session.execute_many(statement.text, [statement.arrange(row) for row in rows])
        except self._driver.errors as error:
            raise self._fail(error) from error

    async def insert(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run an INSERT for each of the rows, now or later."""
        if self._at_once and len(rows) == 1:
            await self.execute(statement, rows[0])
            return
        if self._at_once:
            await self.execute_many(statement, rows)
            return
        self._check()
        if rows:
            self.wrote = True
            kept = self._later.setdefault(statement.text, [])
            kept.extend([statement.arrange(row) for row in rows])

    @property
    def kept(self) -> int:
        """How many rows are to be sent later."""
        return sum(map(len, self._later.values()))

    def adopt(self, other: NetworkedTransaction) -> None:
        """Insert what another transaction keeps."""
        for text, rows in other._later.items():
            self.wrote = True
            self._later.setdefault(text, []).extend(rows)

    async def flush(self) -> None:
        """Send the rows that were kept; raises RefusedLate, and what else goes wrong."""
        self._check()
        if not self._later:
            return
        session, later = self.session, self._later
        assert session is not None
        self._later = {}
        try:
            for text, rows in later.items():
                if len(rows) == 1:
                    await session.execute(text, rows[0])
                else:
                    await session.execute_many(text, rows)
        except self._driver.errors as error:
            raise self._fail_late(error) from error

    async def _ready(self) -> Session:
        if self.session is None:
            await _give_way()
        await self.flush()
        assert self.session is not None, "whoever drives the work has got a session"
        return self.session

    def _check(self) -> None:
        if self.failure is not None:
            raise DatabaseError("the transaction has failed already") from self.failure

    def _fail(self, error: Exception) -> DatabaseError:
        self.failure = self._driver.explain(error)
        return self.failure

    def _fail_late(self, error: Exception) -> DatabaseError:
        failure = self._fail(error)
        if isinstance(failure, ConstraintViolation | InvalidValue):
            self.failure = RefusedLate(str(failure))
        return self.failure or failure


@coroutine
def _give_way() -> Generator[None, None, None]:
    """Yield once to whoever drives the coroutine."""
    yield
