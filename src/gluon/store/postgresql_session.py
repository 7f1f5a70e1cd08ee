"""One connection to PostgreSQL: transactions, how their outcome is learnt, and what errors mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from gluon.store.database import (
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    UniqueViolation,
)
from gluon.store.driver import AccessRefused, ConnectionLost, Contention, Outcome

DRIVER_ERRORS: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What the driver may raise."""

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITES = ("INSERT", "UPDATE", "DELETE")
_TRANSACTION_ID = "pg_current_xact_id()::text"
_TAKING_LEAVE = 2.0
"""Seconds that closing may take before the connection is cut."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a transaction can be looked up by after its connection broke."""

    transaction_id: str
    incarnation: tuple[Any, ...]


class PostgresqlSession:
    """See `gluon.store.driver.Session`.

    A transaction's id costs no round trip: the first statement that writes returns it along.

    Its status alone does not tell everything. A crash may lose a transaction that was not committed yet
    together with the knowledge that its id was ever used, and the id is then given to another. So "committed"
    is believed as long as the server has not recovered from a crash since (`incarnation`); after that only
    the transaction's own outbox rows prove it.
    """

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], incarnation: tuple[Any, ...]) -> None:
        self._connection = connection
        self._incarnation = incarnation
        self._transaction_id: str | None = None

    @classmethod
    async def on(cls, connection: asyncpg.Connection[asyncpg.Record]) -> PostgresqlSession:
        """A session on a connection that was just opened."""
        # The second is set anew by every recovery: statistics do not outlive a crash.
        incarnation = await connection.fetchrow(
            "SELECT pg_postmaster_start_time(), stats_reset FROM pg_stat_bgwriter"
        )
        return cls(connection, tuple(incarnation or ()))

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as is known without asking."""
        return not self._connection.is_closed()

    async def begin(self, *, read_only: bool) -> None:
        """Begin a transaction."""
        self._transaction_id = None
        await self._connection.execute(_BEGIN_READING if read_only else _BEGIN)

    async def query(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of one SELECT, which is a transaction by itself."""
        return await self.fetch(text, values)

    async def fetch(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        # Records are not tuples, but compare, index and unpack as such.
        rows: list[tuple[Any, ...]] = await self._connection.fetch(text, *values)
        return rows

    async def execute(self, text: str, values: tuple[Any, ...]) -> int:
        """Run a statement; how many rows it touched."""
        if self._transaction_id is None and text.startswith(_WRITES):
            rows = await self._connection.fetch(f"{text} RETURNING {_TRANSACTION_ID}", *values)
            if rows:
                self._transaction_id = rows[0][0]
            return len(rows)
        status = await self._connection.execute(text, *values)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement once for each of the rows, in order."""
        if self._transaction_id is None and text.startswith(_WRITES):
            found = await self._connection.fetchmany(f"{text} RETURNING {_TRANSACTION_ID}", rows)
            if found:
                self._transaction_id = found[-1][0]
            return
        await self._connection.executemany(text, rows)

    async def mark(self, number: int) -> Mark | None:
        """What the transaction can be looked up by; None if it has written nothing."""
        if self._transaction_id is None:
            self._transaction_id = await self._connection.fetchval(
                "SELECT pg_current_xact_id_if_assigned()::text"
            )
        return None if self._transaction_id is None else Mark(self._transaction_id, self._incarnation)

    async def commit(self) -> None:
        """Commit."""
        await self._connection.execute("COMMIT")

    async def roll_back(self) -> None:
        """Undo the transaction."""
        await self._connection.execute("ROLLBACK")

    async def lock(self, name: str) -> None:
        """Take the advisory lock of that name."""
        await self._connection.execute("SELECT pg_advisory_lock($1)", _lock_number(name))

    async def unlock(self, name: str) -> None:
        """Let go of it."""
        await self._connection.execute("SELECT pg_advisory_unlock($1)", _lock_number(name))

    async def outcome(self, mark: Mark, number: int) -> Outcome:
        """What became of another session's transaction."""
        try:
            status = await self._connection.fetchval(
                "SELECT pg_xact_status($1::text::xid8)", mark.transaction_id
            )
        except asyncpg.InvalidParameterValueError:
            # An id that has not been given yet: the server crashed and knows nothing of the transaction.
            return Outcome.UNDONE
        same_server = self._incarnation == mark.incarnation
        if status == "aborted":
            return Outcome.UNDONE
        if status == "in progress":
            if not same_server:
                return Outcome.UNDONE  # nothing outlives a crash; this is another one with the same id
            # Its client is gone, and what it was told is settled now rather than after a network timeout.
            await self._connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid",
                str(int(mark.transaction_id) % 2**32),
            )
            return Outcome.UNDER_WAY
        if status == "committed" and (same_server or await self._has_outbox_rows(number)):
            return Outcome.COMMITTED
        return Outcome.UNKNOWN

    async def close(self) -> None:
        """Take leave of the server and close the connection."""
        try:
            await self._connection.close(timeout=_TAKING_LEAVE)
        except DRIVER_ERRORS:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if not self._connection.is_closed():
            self._connection.terminate()

    async def _has_outbox_rows(self, number: int) -> bool:
        found = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM gluon_outbox WHERE transaction_number = $1)", number
        )
        return bool(found)


def _lock_number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"gluon {name}".encode()).digest()[:8], signed=True)


def explain(error: Exception, statement_timeout: float) -> DatabaseError:
    """What an error of the driver means (SQLSTATE classes: PostgreSQL's documentation, appendix A)."""
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable("the database does not answer in time")
    if isinstance(error, OSError):
        return ConnectionLost(f"the connection to the database broke: {error}")
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        # A table was changed under a statement that was prepared before; the driver has forgotten it now.
        return Contention(str(error))
    if not isinstance(error, asyncpg.PostgresError):
        # The first: a connection that is told to end while it is idle is "busy" until it is closed.
        if isinstance(error, asyncpg.InternalClientError) or "clos" in str(error):
            return ConnectionLost(str(error))
        return DatabaseError(str(error))
    state = error.sqlstate or ""
    message = str(error)
    match state[:2]:
        case "23":
            return _violation(error, state)
        case "22":
            return InvalidValue(f"a value can not be stored: {message}")
        case "28" | "3D":
            return AccessRefused(message)
        case "40":
            return Contention(message)
        case "08":
            return ConnectionLost(message)
    match state:
        case "54000":
            return InvalidValue(f"a value is too long to be found by: {message}")
        case "57014":
            return DatabaseUnavailable(f"a statement took longer than {statement_timeout:g} s")
        case "25P03" | "57P01" | "57P02" | "57P03" | "57P05":
            return ConnectionLost(message)
    if state[:2] in ("25", "53", "55", "57", "58", "XX"):
        return DatabaseUnavailable(f"the database failed: {message}")
    return DatabaseError(message)


def _violation(error: asyncpg.PostgresError, state: str) -> ConstraintViolation:
    constraint = getattr(error, "constraint_name", None)
    if state == "23505":
        return UniqueViolation(str(error), constraint=constraint)
    if state == "23503":
        return ReferenceViolation("the transaction would leave a reference that leads nowhere")
    return ConstraintViolation(str(error))
