"""What a networked database's driver has to offer: sessions, and the meaning of its errors.

`gluon.store.networked` does the rest for all of them: the pool, retries, and what happens when a
connection breaks.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy.engine import Dialect

from gluon.store.database import DatabaseError, DatabaseUnavailable


class Contention(DatabaseError):
    """The transaction met another one and was undone by the database: run it again."""


class ConnectionLost(DatabaseUnavailable):
    """The connection broke. A transaction that was not being committed is undone by the database."""


class AccessRefused(DatabaseUnavailable):
    """The database answers and wants none of us: the wrong password, no such database, too old."""


class Outcome(enum.Enum):
    """What became of a transaction whose connection broke while it was committed."""

    COMMITTED = "committed"
    UNDONE = "undone"
    UNDER_WAY = "under way"
    """The database has not noticed yet; ask again."""
    UNKNOWN = "unknown"
    """It will never be known."""


class Session(Protocol):
    """One connection to the database, used by one transaction at a time.

    Its methods raise what the driver raises; `Driver.explain` tells what that means. No statement may
    wait for ever: a session enforces the statement timeout itself, also against a database that is silent.
    """

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as is known without asking."""

    async def begin(self, *, read_only: bool) -> None:
        """Begin a transaction: READ COMMITTED, or with `read_only` on one snapshot."""

    async def query(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of one SELECT, outside of any transaction."""

    async def fetch(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""

    async def execute(self, text: str, values: tuple[Any, ...]) -> int:
        """Run a statement; how many rows it touched (that match, changed or not)."""

    async def execute_many(self, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement once for each of the rows, in order."""

    async def mark(self, number: int) -> Any:
        """Called before the commit of a transaction that wrote: what `Driver.outcome` can look it up by.

        `number` is the transaction's own, of 63 bits. None if nothing was written after all.
        """

    async def commit(self) -> None:
        """Commit; what the database refuses now is undone."""

    async def roll_back(self) -> None:
        """Undo the transaction."""

    async def lock(self, name: str) -> None:
        """Take a lock that one session of the whole database holds at a time; outside of transactions."""

    async def unlock(self, name: str) -> None:
        """Let go of it."""

    async def close(self) -> None:
        """Take leave of the database and close the connection; never raises, never takes long."""

    def abort(self) -> None:
        """Close the connection at once, whatever is under way on it."""


class Driver(Protocol):
    """Opens sessions on one database."""

    @property
    def dialect(self) -> Dialect:
        """The dialect that statements are compiled with; its placeholders are the driver's."""

    @property
    def name(self) -> str:
        """The database, for people: its URL without the password."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What sessions raise when something is wrong, timeouts and broken connections among it."""

    @property
    def transactional_ddl(self) -> bool:
        """See `gluon.store.database.Database`."""

    async def connect(self) -> Session:
        """A new session; raises one of `errors`."""

    def explain(self, error: Exception) -> DatabaseError:
        """What an error means: Contention, ConnectionLost, or one that callers get to see."""

    async def outcome(self, mark: Any, number: int, fresh: Session) -> Outcome:
        """What became of the transaction with this mark and number, asked on another session."""
