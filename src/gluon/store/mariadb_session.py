"""One connection to MariaDB: its settings, its transactions, and what tells afterwards how a commit went.

Sessions run without autocommit: the first statement begins a transaction, and so does the first one after a
CREATE TABLE, which commits by itself.

A transaction that wrote adds a row with its number to `gluon_commits`, in the same breath as its COMMIT. When
the connection breaks just then, another session inserts the very same row. If that row is there already,
the transaction was committed. If not, it never will be from then on: its own row would be the second one.
So the answer is final wherever in the network, in the server or in a cluster the COMMIT has got stuck. A
session takes its rows away again when it has learnt how their commits went; a day later anybody does.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncmy import errors
from asyncmy.connection import Connection

from gluon.store.driver import Contention, Outcome
from gluon.store.mariadb_errors import (
    DUPLICATE_ENTRY,
    IS_REFERENCED,
    LOST,
    NOTHING_REFERENCED,
    Unstorable,
    explain,
    number_of,
)
from gluon.store.mariadb_references import PostponedReferences

COMMITS = "gluon_commits"
LOCKS = "gluon_locks"
TABLES = (
    f"CREATE TABLE IF NOT EXISTS {COMMITS} (number BIGINT NOT NULL PRIMARY KEY, created BIGINT NOT NULL) "
    "ENGINE=InnoDB",
    f"CREATE TABLE IF NOT EXISTS {LOCKS} (name VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY, "
    "holder CHAR(32) CHARACTER SET ascii NOT NULL, until BIGINT NOT NULL) ENGINE=InnoDB",
)
"""What this driver needs of its own; `created` and `until` are seconds of the epoch by the server's clock."""

_BEGIN_SNAPSHOT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
)
_STATEMENTS_KEPT = 256
"""Prepared statements of a session; a server has room for 16,382 of all of them by default."""
_SPENT = 64
"""Rows of commits that are known to have gone well, before they are taken away."""
_GRACE = 5.0
"""Seconds beyond the statement timeout after which a server that is silent is given up."""
_CLOSE = 2.0
_LOCK_POLL = 0.2
_LOCK_LEASE = 60
"""Seconds after which a lock of a cluster is free again whose holder died: no model takes that long."""
_LOCK_PATIENCE = 150.0
_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 << 20
"""Of values in one bulk statement: a quarter of what a server takes by default (max_allowed_packet)."""


class MariadbSession:
    """See `gluon.store.driver.Session`.

    `clustered`: whether it is on a node of a Galera cluster.
    """

    def __init__(self, connection: Connection, statement_timeout: float, *, clustered: bool) -> None:
        self._connection = connection
        self._patience = statement_timeout + _GRACE
        self._clustered = clustered
        self._mark: int | None = None
        self._spent: list[int] = []
        # The driver's methods are untyped.
        self._statements: dict[str, Any] = {}
        self._holder = uuid.uuid4().hex
        self._leased = False
        self._postponed = PostponedReferences(self._run, self._rows)

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as is known without asking."""
        # `connected` alone stays true when the server has hung up.
        return bool(self._connection.connected and not self._connection._stream_broken)  # type: ignore[attr-defined]

    async def begin(self, *, read_only: bool) -> None:
        """Begin a transaction; one that may write begins with its first statement."""
        if read_only:
            await self._several(_BEGIN_SNAPSHOT)

    async def query(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of one SELECT; the transaction that begins with it ends at once."""
        rows = await self._rows(text, values)
        await self._several("ROLLBACK")
        return rows

    async def fetch(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        if self._postponed:
            await self._postponed.settle(finally_=False)
        return await self._rows(text, values)

    async def execute(self, text: str, values: tuple[Any, ...]) -> int:
        """Run a statement; how many rows it touched."""
        if self._postponed and not text.startswith("INSERT"):
            await self._postponed.settle(finally_=False)
        try:
            return await self._run(text, values)
        except errors.IntegrityError as error:
            if number_of(error) in IS_REFERENCED | NOTHING_REFERENCED:
                return await self._postponed.postpone(text, values, error)
            raise

    async def execute_many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement once for each of the rows, in order."""
        if len(rows) == 1:
            await self._run(text, rows[0])
            return
        some: list[tuple[Any, ...]] = []
        size = 0
        for row in rows:
            size_of_row = sum(4 * len(value) for value in row if isinstance(value, str | bytes))
            if some and (size + size_of_row > _BYTES_AT_ONCE or len(some) == _ROWS_AT_ONCE):
                await self._run_many(text, some)
                some, size = [], 0
            some.append(row)
            size += size_of_row
        if some:
            await self._run_many(text, some)

    async def mark(self, number: int) -> int:
        """Have the commit leave a row with that number."""
        self._mark = number
        return number

    async def commit(self) -> None:
        """Put references in order, leave the mark, commit."""
        if self._postponed:
            await self._postponed.settle(finally_=True)
        statements = ["COMMIT"]
        clearing = len(self._spent) >= _SPENT
        if self._mark is not None:
            statements.insert(0, f"INSERT INTO {COMMITS} VALUES ({self._mark}, UNIX_TIMESTAMP())")
            if clearing:
                spent = ", ".join(map(str, self._spent))
                statements.insert(1, f"DELETE FROM {COMMITS} WHERE number IN ({spent})")
        await self._several("; ".join(statements))
        if self._mark is not None:
            self._spent = [*([] if clearing else self._spent), self._mark]
        self._mark = None

    async def roll_back(self) -> None:
        """Undo the transaction."""
        self._postponed.forget()
        self._mark = None
        if self._leased:
            # A session that fails is dropped, and GET_LOCK's lock with it; a row would stay.
            await self._several(f"ROLLBACK; {self._release_lease()}")
        else:
            await self._several("ROLLBACK")

    async def outcome(self, number: int) -> Outcome:
        """What became of the transaction with that number, which another session was committing."""
        insert = f"INSERT INTO {COMMITS} VALUES ({number}, UNIX_TIMESTAMP())"
        try:
            # It waits for a transaction that has the row and is neither committed nor undone, but not long.
            await self._several(f"SET STATEMENT innodb_lock_wait_timeout=1 FOR {insert}; COMMIT")
        except errors.MySQLError as error:
            explained = explain(error)
            if number_of(error) != DUPLICATE_ENTRY and not isinstance(explained, Contention):
                raise
            await self.roll_back()
            return Outcome.COMMITTED if number_of(error) == DUPLICATE_ENTRY else Outcome.UNDER_WAY
        return Outcome.UNDONE

    async def lock(self, name: str) -> None:
        """Take a lock that one session of the whole database holds at a time.

        MariaDB's GET_LOCK outlives the commits that come with each CREATE TABLE, and ends with its
        session. But every node of a Galera cluster has such locks of its own, and rows that are locked for
        update are so on one node only; what a cluster agrees on is what was committed. There a lock is a
        row, which two nodes can't both insert, and which counts for a while only, should its holder die.
        """
        deadline = time.monotonic() + _LOCK_PATIENCE
        taken = self._take_lease if self._clustered else self._take_lock
        while not await taken(_lock_name(name)):
            if time.monotonic() > deadline:
                raise errors.OperationalError(
                    1205, f"another server has held the lock {name} for {_LOCK_PATIENCE:g} s"
                )
            await asyncio.sleep(_LOCK_POLL)

    async def unlock(self, name: str) -> None:
        """Let go of it."""
        if self._clustered:
            await self._several(self._release_lease())
        else:
            await self._rows("SELECT RELEASE_LOCK(CONCAT(DATABASE(), ?))", (_lock_name(name),))
            await self._several("COMMIT")

    async def close(self) -> None:
        """Take the last marks away and close the connection."""
        try:
            async with asyncio.timeout(_CLOSE):
                if self._spent and self.usable:
                    spent = ", ".join(map(str, self._spent))
                    await self._several(f"DELETE FROM {COMMITS} WHERE number IN ({spent}); COMMIT")
                await self._connection.ensure_closed()
        except (errors.MySQLError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._connection.close()

    async def _take_lock(self, name: str) -> bool:
        rows = await self._rows("SELECT GET_LOCK(CONCAT(DATABASE(), ?), 0)", (name,))
        return bool(rows[0][0] == 1)

    async def _take_lease(self, name: str) -> bool:
        try:
            await self._run(f"DELETE FROM {LOCKS} WHERE name = ? AND until < UNIX_TIMESTAMP()", (name,))
            await self._run(
                f"INSERT INTO {LOCKS} VALUES (?, ?, UNIX_TIMESTAMP() + ?)",
                (name, self._holder, _LOCK_LEASE),
            )
            await self._several("COMMIT")
        except errors.MySQLError as error:
            if number_of(error) != DUPLICATE_ENTRY and not isinstance(explain(error), Contention):
                raise
            await self.roll_back()
            return False
        self._leased = True
        return True

    def _release_lease(self) -> str:
        self._leased = False
        return f"DELETE FROM {LOCKS} WHERE holder = '{self._holder}'; COMMIT"

    async def _rows(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return list((await self._result(text, values)).rows or ())

    async def _run(self, text: str, values: tuple[Any, ...]) -> int:
        if not values:
            return await self._several(text)  # not all that makes tables can be prepared
        return int((await self._result(text, values)).affected_rows)

    async def _run_many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        async with self._watched():
            statement = await self._prepared(text)
            try:
                await statement.execute_bulk(rows)
            except (ValueError, errors.NotSupportedError):
                # Before anything was sent: columns with values of several types, or with NULL only.
                for row in rows:
                    await statement.execute(row)

    async def _result(self, text: str, values: tuple[Any, ...]) -> Any:
        async with self._watched():
            return await (await self._prepared(text)).execute(values)

    async def _prepared(self, text: str) -> Any:
        """A statement as the server keeps it for us.

        The driver could keep them, too. But when the server refuses to prepare one, because it has meanwhile
        undone the transaction in favour of another node's, the driver sends it as text: the rest of a
        transaction would be done without its beginning.
        """
        statement = self._statements.pop(text, None)
        if statement is None:
            statement = await self._connection.prepare(text)  # type: ignore[no-untyped-call]
            if len(self._statements) >= _STATEMENTS_KEPT:
                await self._statements.pop(next(iter(self._statements))).close()
        # The one that was used last is the last one.
        self._statements[text] = statement
        return statement

    async def _several(self, statements: str) -> int:
        """Run statements without values in one round trip; the first that fails ends them.

        Returns how many rows the last of them touched.
        """
        async with self._watched(), self._connection.cursor() as cursor:
            await cursor.execute(statements)
            while await cursor.nextset():
                pass
            touched: Any = cursor.rowcount
            return int(touched)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Bound the time that the server may take, and say what the driver doesn't send."""
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError as error:
            self.abort()
            message = f"the server did not answer within {self._patience:g} s"
            raise errors.OperationalError(LOST, message) from error
        except (ValueError, OverflowError) as error:
            raise Unstorable(0, f"a value can not be stored: {error}") from error


def _lock_name(name: str) -> str:
    """A name that is short enough, whatever the database is called."""
    return f".gluon.{hashlib.sha256(name.encode()).hexdigest()[:24]}"
