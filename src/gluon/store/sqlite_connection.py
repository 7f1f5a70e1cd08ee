"""One connection to a SQLite file: how it is opened, how a work runs on it, what its errors mean."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from gluon.store.database import (
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    UniqueViolation,
    Work,
)
from gluon.store.statement import Parameters, Statement

T = TypeVar("T")

_UNIQUE = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_UNSTORABLE = (OverflowError, UnicodeEncodeError, sqlite3.InterfaceError, sqlite3.DataError)
DRIVER_ERRORS = (sqlite3.Error, OverflowError, UnicodeEncodeError)
"""What the driver may raise for a statement."""


def _create_for_owner(path: Path) -> None:
    """SQLite itself would make a file that every user of the machine can read, with all tenants' objects."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        raise DatabaseUnavailable(f"{path} can not be opened: {error.strerror}") from error


def open_connection(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
    """A connection of ours, for the thread that opens it.

    WAL with synchronous=FULL: a commit is on the disk before it returns, so that what was
    acknowledged survives a power cut, and readers never wait for the writer. `busy_timeout` is how many
    seconds another process (a backup, an administrator's shell) may hold the file before we give up.
    """
    if not read_only:
        _create_for_owner(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        isolation_level=None,
        timeout=busy_timeout,
        cached_statements=1024,
    )
    try:
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise DatabaseUnavailable(
                    f"{path} can not be kept in WAL mode (the journal mode stays {mode!r})"
                )
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            # A burst leaves a long log behind; cut it back at the next checkpoint.
            connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA cache_size=-16384")
        connection.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: Exception) -> DatabaseError:
    """What an error of the driver means to a caller."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, _UNSTORABLE):
        return InvalidValue(f"a value can not be stored: {error}")
    code = getattr(error, "sqlite_errorcode", None) or 0
    if isinstance(error, sqlite3.IntegrityError):
        if code in _UNIQUE:
            # "UNIQUE constraint failed: table.first, table.second"
            columns = str(error).partition(": ")[2]
            return UniqueViolation(str(error), columns=tuple(c.strip() for c in columns.split(",") if c))
        if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return ReferenceViolation("the transaction would leave a reference that leads nowhere")
        return ConstraintViolation(str(error))
    if code & 0xFF in _UNAVAILABLE:
        return DatabaseUnavailable(f"the SQLite database failed: {error}")
    return DatabaseError(str(error))


class SqliteTransaction:
    """What a work gets to run its statements with; see `gluon.store.database.Transaction`."""

    __slots__ = ("_connection", "failure", "number", "wrote")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.failure: DatabaseError | None = None
        self.number = random.getrandbits(63)
        self.wrote = False
        """Whether there is something to undo. A statement that fails is undone by SQLite itself."""

    def run(self, work: Work[T]) -> T:
        """Drive a work to its end; raises what it raises."""
        coroutine = work(self)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            if self.failure is not None:
                raise self.failure from None
            result: T = stop.value
            return result
        finally:
            coroutine.close()
        raise RuntimeError(f"{work!r} awaits something other than its transaction")

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        self._check()
        try:
            return self._connection.execute(statement.text, statement.arrange(parameters)).fetchall()
        except DRIVER_ERRORS as error:
            raise self._fail(error) from error

    async def execute(self, statement: Statement, parameters: Parameters = ()) -> int:
        """Run a statement; how many rows it touched."""
        self._check()
        try:
            touched = self._connection.execute(statement.text, statement.arrange(parameters)).rowcount
        except DRIVER_ERRORS as error:
            raise self._fail(error) from error
        if touched:
            self.wrote = True
        return touched

    async def execute_many(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each of the rows, in order."""
        self._check()
        self.wrote = True  # rows before one that fails stay
        try:
            self._connection.executemany(statement.text, map(statement.arrange, rows))
        except DRIVER_ERRORS as error:
            raise self._fail(error) from error

    async def insert(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run an INSERT for each of the rows."""
        await self.execute_many(statement, rows)

    def _check(self) -> None:
        if self.failure is not None:
            raise DatabaseError("the transaction has failed already") from self.failure

    def _fail(self, error: Exception) -> DatabaseError:
        self.failure = explain(error)
        return self.failure
