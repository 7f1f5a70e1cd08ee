"""What the store asks of a database: transactions that run prepared statements, and the errors they raise.

A transaction's work is a coroutine function `work(tx)`. SQLite drives it in its one writer thread,
where its awaits never suspend; a networked driver will drive it on the event loop. Therefore a work
awaits nothing but its transaction, and has no effect outside of it: it may be run a second time
when the first attempt was rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import ArgumentError

from gluon.store.statement import Parameters, Statement

T = TypeVar("T")


class DatabaseError(Exception):
    """Something that the database refused or could not do."""


class UnsupportedDatabase(DatabaseError):
    """The URL names a database that this release can not use."""


class DatabaseLocked(DatabaseError):
    """Another server process holds the database."""


class DatabaseUnavailable(DatabaseError):
    """The database can not be reached, is full, or failed; nothing of the transaction was written."""


class InvalidValue(DatabaseError):
    """A value that no column can hold: an integer beyond 64 bits, text that is not Unicode."""


class ConstraintViolation(DatabaseError):
    """A rule of the schema refused a statement."""


class UniqueViolation(ConstraintViolation):
    """There is such a row already.

    Raised by a driver, `columns` holds `table.column` as the database names them; raised by a
    repository, `object` and `attributes` say what has to be unique in the terms of the model.
    """

    def __init__(
        self,
        message: str,
        *,
        columns: tuple[str, ...] = (),
        object: str | None = None,
        attributes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.columns = columns
        self.object = object
        self.attributes = attributes


class ReferenceViolation(ConstraintViolation):
    """The transaction would leave a reference that leads nowhere."""


class Transaction(Protocol):
    """One transaction, as its work sees it.

    When a statement raises, the transaction has failed: further statements are refused, and it is
    rolled back even if the work swallows the error.
    """

    @property
    def number(self) -> int:
        """A number of 63 bits that tells this transaction from others."""

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""

    async def execute(self, statement: Statement, parameters: Parameters = ()) -> int:
        """Run a statement; how many rows it touched."""

    async def execute_many(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each of the rows, in order."""


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


class Database(Protocol):
    """A database that can be written in transactions and read in snapshots."""

    @property
    def dialect(self) -> Dialect:
        """The dialect that statements for this database are compiled with."""

    async def start(self) -> None:
        """Open it; raises DatabaseLocked or DatabaseUnavailable."""

    async def close(self) -> None:
        """Finish what was asked for, then close it."""

    async def write(self, work: Work[T]) -> T:
        """Run a work in one transaction and return its result once that is committed and durable.

        Works that wait together may be committed together; one that fails does so alone. Raises what
        the work raised, ReferenceViolation, or DatabaseUnavailable when nothing was written. A caller
        that is cancelled while its work waits has it dropped; once begun it is completed.
        """

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on one consistent snapshot."""

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have a plain function called in the event loop after every commit that changed something."""


def open_database(url: str, *, options: Mapping[str, Any] | None = None) -> Database:
    """The database that a URL names (`sqlite:////var/lib/gluon/gluon.sqlite`), not started yet.

    Raises UnsupportedDatabase with a sentence that says what can be used.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedDatabase(
            f"{url!r} is not the URL of a database; one looks like sqlite:////var/lib/gluon/gluon.sqlite"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        shown = parsed.render_as_string(hide_password=True)
        raise UnsupportedDatabase(
            f"{shown} can not be used: this release stores in SQLite only; "
            "write sqlite:/// followed by the path of a file"
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise UnsupportedDatabase(f"{url} names no file; write sqlite:/// followed by the path of a file")
    # Only the driver that is used gets imported: the others' packages need not be installed.
    from gluon.store.sqlite import SqliteDatabase

    return SqliteDatabase(parsed.database, **(options or {}))
