"""PostgreSQL, through asyncpg: what `gluon.store.networked` needs, and news of other servers' commits."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import URL, Dialect

from gluon.store.commit_signal import CommitSignal
from gluon.store.database import DatabaseError, DatabaseOptions
from gluon.store.driver import AccessRefused, Outcome, Session
from gluon.store.networked import NetworkedDatabase
from gluon.store.postgresql_session import DRIVER_ERRORS, Mark, PostgresqlSession, explain

OLDEST = 13
"""The major version that has pg_current_xact_id()."""

_STATEMENTS_KEPT = 1024
"""Prepared statements on a connection: those of some hundred object types."""
_LONGEST_KEPT = 128 * 1024
"""Bytes of the text of a statement that is kept prepared."""
_GRACE = 2.0
"""Seconds beyond the statement timeout after which a server that is silent is given up."""


class PostgresqlDriver:
    """See `gluon.store.driver.Driver`."""

    transactional_ddl = True
    errors = DRIVER_ERRORS

    def __init__(self, url: URL, options: DatabaseOptions) -> None:
        self.dialect: Dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        self.name = url.render_as_string(hide_password=True)
        self._dsn = _dsn(url)
        self._options = options

    async def connect(self) -> Session:
        """A new session; raises one of `errors`, or AccessRefused for a server that is too old."""
        connection = await self.open_connection()
        try:
            if connection.get_server_version().major < OLDEST:
                version = ".".join(map(str, connection.get_server_version()[:2]))
                raise AccessRefused(f"it is PostgreSQL {version}; {OLDEST} or newer is needed")
            return await PostgresqlSession.on(connection)
        except BaseException:
            connection.terminate()
            raise

    async def open_connection(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection with our settings."""
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self._dsn,
            timeout=self._options.pool_timeout,
            command_timeout=self._options.statement_timeout + _GRACE,
            statement_cache_size=_STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=_LONGEST_KEPT,
            server_settings={
                "application_name": "gluon",
                # Compiling a statement takes longer than any of ours.
                "jit": "off",
                "statement_timeout": _milliseconds(self._options.statement_timeout),
                # A server process that is stopped in a transaction must not keep its locks from the others.
                "idle_in_transaction_session_timeout": _milliseconds(self._options.idle_timeout),
            },
        )
        return connection

    def explain(self, error: Exception) -> DatabaseError:
        """What an error means."""
        return explain(error, self._options.statement_timeout)

    async def outcome(self, mark: Any, number: int, fresh: Session) -> Outcome:
        """What became of a transaction whose connection broke."""
        assert isinstance(mark, Mark)
        assert isinstance(fresh, PostgresqlSession)
        return await fresh.outcome(mark, number)


class PostgresqlDatabase(NetworkedDatabase):
    """A PostgreSQL database, shared by any number of servers; see `gluon.store.database.Database`."""

    tells_of_commits = True

    def __init__(self, driver: PostgresqlDriver, options: DatabaseOptions) -> None:
        super().__init__(driver, options)
        self.signal = CommitSignal(driver.open_connection, self._call_back)
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reach the database, and begin to listen for commits."""
        await super().start()
        self._listening = asyncio.create_task(self.signal.run(), name="commit signal")

    async def close(self) -> None:
        """Finish what was begun, then close all connections."""
        await super().close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))
            self._listening = None

    def _changed(self) -> None:
        super()._changed()
        self.signal.tell()


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _dsn(url: URL) -> str:
    """The URL as the driver understands it."""
    query = dict(url.query)
    if "ssl" in query:  # what SQLAlchemy's dialect of this driver calls it
        query["sslmode"] = query.pop("ssl")
    hosts = query.get("host")
    if isinstance(hosts, tuple):
        # SQLAlchemy's way: ?host=first:5432&host=second:5432
        pairs = [host.rpartition(":") if ":" in host else (host, "", "5432") for host in hosts]
        query["host"] = ",".join(host for host, _, _ in pairs)
        query["port"] = ",".join(port for _, _, port in pairs)
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


def postgresql_database(url: URL, options: DatabaseOptions) -> PostgresqlDatabase:
    """The PostgreSQL database that a URL names, not started yet."""
    return PostgresqlDatabase(PostgresqlDriver(url, options), options)
