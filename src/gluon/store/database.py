"""What the store asks of a database: transactions that run prepared statements, and the errors they raise.

A transaction's work is a coroutine function `work(tx)`. SQLite drives it in its one writer thread,
where its awaits never suspend; networked databases drive it on the event loop. Therefore a work
awaits nothing but its transaction, and has no effect outside of it: it may be run a second time
when the first attempt was rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy.engine import URL, Dialect, make_url
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


class OutcomeUnknown(DatabaseUnavailable):
    """The connection broke while the transaction was committed, and how that went can't be learnt."""


class InvalidValue(DatabaseError):
    """A value that no column can hold: an integer beyond 64 bits, text that is not Unicode."""


class ConstraintViolation(DatabaseError):
    """A rule of the schema refused a statement."""


class UniqueViolation(ConstraintViolation):
    """There is such a row already.

    Raised by a driver, `columns` holds `table.column` as the database names them, or `constraint` the name
    of what was violated; raised by a repository, `object` and `attributes` say what has to be unique in the
    terms of the model.
    """

    def __init__(
        self,
        message: str,
        *,
        columns: tuple[str, ...] = (),
        constraint: str | None = None,
        object: str | None = None,
        attributes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.columns = columns
        self.constraint = constraint
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

    async def insert(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run an INSERT for each of the rows, in order, whose result nobody needs.

        Networked databases do so later, before the next statement of another kind or the commit, and all rows
        of one statement together. When they are refused, the work is run again, and told of it here.
        """


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """What an operator may set beside the URL; SQLite needs none of it."""

    max_pool_size: int = 10
    """Most connections of this process, beside one that listens."""
    pool_timeout: float = 10.0
    """Seconds that a transaction waits for a connection, and that a start waits for the database."""
    statement_timeout: float = 30.0
    """Seconds that one statement may take."""
    idle_timeout: float = 5.0
    """Seconds that a transaction may do nothing; then the database undoes it, and it is run again.

    A server process that is frozen in one keeps what it has locked for that long: less than a bind may
    take, and than others wait for a lock.
    """
    max_retries: int = 10
    """How often a transaction is run again that met another one (deadlock, serialization failure)."""


class Database(Protocol):
    """A database that can be written in transactions and read in snapshots."""

    @property
    def dialect(self) -> Dialect:
        """The dialect that statements for this database are compiled with."""

    @property
    def shared(self) -> bool:
        """Whether several processes may use it at once."""

    @property
    def tells_of_commits(self) -> bool:
        """Whether `on_commit` tells of other processes' commits, too, where there are such."""

    @property
    def transactional_ddl(self) -> bool:
        """Whether what makes tables can be undone; otherwise each such statement commits what came before."""

    async def start(self) -> None:
        """Open it; raises DatabaseLocked or DatabaseUnavailable."""

    async def close(self) -> None:
        """Finish what was asked for, then close it."""

    async def write(self, work: Work[T], *, alone: str | None = None) -> T:
        """Run a work in one transaction and return its result once that is committed and durable.

        Works that wait together may be committed together; one that fails does so alone. Raises what
        the work raised, ReferenceViolation, DatabaseUnavailable when nothing was written, or its subclass
        OutcomeUnknown. A caller that is cancelled while its work waits has it dropped; once begun it is
        completed. Works with the same name in `alone` run one after the other, whichever server's they are.
        """

    async def rehearse(self, work: Work[T]) -> T:
        """Run a work as `write` does, and undo all that it did; what it returned or raised.

        References are not checked, since many databases do so when a transaction is committed.
        """

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on one consistent snapshot."""

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT: what a `read` with nothing else in it gives, in fewer round trips."""

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have a plain function called in the event loop after every commit that changed something.

        Where the database can tell (`tells_of_commits`), after those of other processes, too; several close
        together may be one call.
        """


def open_database(url: str, *, options: DatabaseOptions | None = None, guest: bool = False) -> Database:
    """The database that a URL in SQLAlchemy's form names, not started yet.

    A `guest` is a command that works beside the servers, with short transactions: it takes no lock that is
    theirs, and makes nothing.

    `sqlite:////var/lib/gluon/gluon.sqlite`, `postgresql://user:password@host/name`,
    `mysql://user:password@host/name`; a driver in the scheme (`+asyncpg`) is accepted and makes no
    difference. Raises UnsupportedDatabase with a sentence that says what can be used.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedDatabase(
            f"{url!r} is not the URL of a database; one looks like sqlite:////var/lib/gluon/gluon.sqlite "
            "or postgresql://user:password@host/name"
        ) from error
    # Only the driver that is used gets imported: the others' packages need not be installed.
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return _sqlite(parsed, guest)
        case "postgresql" | "postgres":
            from gluon.store.postgresql import postgresql_database

            return postgresql_database(parsed, options or DatabaseOptions())
        case "mysql" | "mariadb":
            from gluon.store.mariadb import mariadb_database

            return mariadb_database(parsed, options or DatabaseOptions())
    raise UnsupportedDatabase(
        f"{parsed.render_as_string(hide_password=True)} can not be used: objects are kept in SQLite "
        "(sqlite:////path/of/a/file), PostgreSQL (postgresql://user:password@host/name) or MariaDB "
        "(mysql://user:password@host/name)"
    )


def _sqlite(url: URL, guest: bool) -> Database:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise UnsupportedDatabase(f"{url} names no file; write sqlite:/// followed by the path of a file")
    from gluon.store.sqlite import SqliteDatabase

    return SqliteDatabase(url.database, guest=guest)
