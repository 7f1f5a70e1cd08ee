"""MariaDB, alone or as a Galera cluster, through asyncmy: what `gluon.store.networked` needs.

The order of one object's outbox rows. Numbers come from AUTO_INCREMENT when a row is inserted. On one
server the object's row is locked before, so the next transaction that changes the object inserts later and
gets higher numbers. InnoDB keeps the counter on disk (since 10.2.4), so no number comes back after a restart.

On several nodes of a Galera cluster each node hands out its own residues (`auto_increment_offset`), and
locks are the node's own. Still one object's rows are in order, for any number of nodes that are written to:

1. Every transaction that adds an outbox row for an object writes that object's row, too; when it doesn't (a
   resync puts back what etcd has lost), the change is conditional on what etcd holds, and order is nothing.
2. Of two such transactions Galera lets only one pass unless the second one began after it had applied the
   first: they write the same row, so certification fails the later one, and it is run again.
3. What applies a transaction of another node raises this node's counter beyond that transaction's numbers,
   before the lock on the object's row is released to those that wait for it.

So whoever changes an object next, on whichever node, draws a number above those that went before. A node may
answer from a state that is a little old, which would let a client miss what another node has just
acknowledged to it, and a new relay the removals of the last one: `wsrep_sync_wait` has every transaction
wait until its node has applied all that was committed anywhere before it began.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asyncmy import errors
from asyncmy.connection import Connection
from asyncmy.constants.CLIENT import FOUND_ROWS
from sqlalchemy.engine import URL, Dialect

from gluon.store.database import DatabaseError, DatabaseOptions
from gluon.store.driver import AccessRefused, Outcome, Session
from gluon.store.mariadb_address import MariadbAddress, parse_address
from gluon.store.mariadb_dialect import COLLATION, MariadbDialect
from gluon.store.mariadb_errors import ERRORS, explain
from gluon.store.mariadb_session import COMMITS, LOCKS, TABLES, MariadbSession
from gluon.store.networked import NetworkedDatabase

OLDEST = (10, 6)
"""The oldest version that is taken: the first that survives a crash in the midst of making a table."""

_LONGEST_LOCK_WAIT = 10
_LONGEST_SORTED = 1 << 16
"""Bytes of a text that sorting looks at; MariaDB's own 1024 leave those in disorder that begin alike."""
_COMMITS_KEPT = 24 * 3600
_SWEPT_AT_ONCE = 10_000


class MariadbDriver:
    """See `gluon.store.driver.Driver`."""

    transactional_ddl = False
    errors = ERRORS

    def __init__(self, address: MariadbAddress, options: DatabaseOptions) -> None:
        self.dialect: Dialect = MariadbDialect()
        self.name = address.shown
        self._address = address
        self._options = options
        self._prepared = False

    async def connect(self) -> Session:
        """A new session, on the first host that takes us; a silent one gets its share of the time."""
        hosts = self._address.hosts or ((None, 0),)
        patience = self._options.pool_timeout / len(hosts)
        reason: errors.MySQLError | None = None
        for host, port in hosts:
            connection = self._connection(host, port)
            try:
                async with asyncio.timeout(patience):
                    await _connect(connection)
                    return await self._session(connection)
            except BaseException as error:
                connection.close()
                if isinstance(error, TimeoutError):
                    reason = errors.OperationalError(2003, f"{host} does not answer within {patience:g} s")
                elif isinstance(error, errors.MySQLError):
                    reason = error
                else:
                    raise
        assert reason is not None
        raise reason

    def explain(self, error: Exception) -> DatabaseError:
        """What an error means."""
        return explain(error)

    async def outcome(self, mark: Any, number: int, fresh: Session) -> Outcome:
        """What became of a transaction whose connection broke."""
        assert isinstance(fresh, MariadbSession)
        return await fresh.outcome(number)

    def _connection(self, host: str | None, port: int) -> Connection:
        timeout = self._options.statement_timeout
        settings = {
            "autocommit": "0",
            "tx_isolation": "'READ-COMMITTED'",
            # Whatever the server is set to: values are stored as given or refused, and NO_BACKSLASH_ESCAPES
            # would change what quoted text means.
            "sql_mode": "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
            "max_statement_time": f"{timeout:g}",
            "innodb_lock_wait_timeout": f"{max(1, min(_LONGEST_LOCK_WAIT, int(timeout)))}",
            "lock_wait_timeout": f"{max(1, int(timeout))}",
            # A server process that is stopped in a transaction must not keep its locks from the others.
            "idle_transaction_timeout": f"{max(1, int(self._options.idle_timeout))}",
            "max_sort_length": f"{_LONGEST_SORTED}",
            # No "table exists already" each time, which the driver would log.
            "sql_notes": "0",
            "foreign_key_checks": "1",
            "unique_checks": "1",
        }
        assignments = ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())
        password = self._address.password
        return Connection(  # type: ignore[no-untyped-call]
            host=host,
            port=port,
            unix_socket=self._address.unix_socket,
            user=self._address.user,
            # As bytes: the driver would write text as Latin-1.
            password="" if password is None else password.encode(),
            database=self._address.database,
            charset="utf8mb4",
            ssl=self._address.tls,
            connect_timeout=max(1.0, self._options.pool_timeout),
            init_command=f"SET NAMES utf8mb4 COLLATE {COLLATION}, {assignments}",
            autocommit=None,
            # Rows that a statement matches count, whether it changes them or not.
            client_flag=FOUND_ROWS,
            program_name="gluon",
        )

    async def _session(self, connection: Connection) -> MariadbSession:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT VERSION()")
            ((version,),) = await cursor.fetchall()
            if "MariaDB" not in version or tuple(map(int, version.split(".")[:2])) < OLDEST:
                wanted = ".".join(map(str, OLDEST))
                raise AccessRefused(f"it is version {version}; MariaDB {wanted} or newer is needed")
            await cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
            clustered = [value for _, value in await cursor.fetchall()] == ["ON"]
            if clustered:
                await cursor.execute("SET SESSION wsrep_sync_wait = 7")
            if not self._prepared:
                await self._prepare(cursor)
                self._prepared = True
            await connection.rollback()
        return MariadbSession(connection, self._options.statement_timeout, clustered=clustered)

    @staticmethod
    async def _prepare(cursor: Any) -> None:
        """Make the tables of this driver, and sweep up after sessions that died."""
        await cursor.execute(
            "SELECT COUNT(*) FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name IN (%s, %s)",
            (COMMITS, LOCKS),
        )
        if (await cursor.fetchall())[0][0] < len(TABLES):
            for statement in TABLES:
                await cursor.execute(statement)
        await cursor.execute(
            f"SELECT number FROM {COMMITS} WHERE created < UNIX_TIMESTAMP() - %s LIMIT %s",
            (_COMMITS_KEPT, _SWEPT_AT_ONCE),
        )
        old = ", ".join(str(number) for (number,) in await cursor.fetchall())
        if old:
            await cursor.execute(f"DELETE FROM {COMMITS} WHERE number IN ({old})")
            await cursor.execute("COMMIT")


async def _connect(connection: Connection) -> None:
    try:
        await connection.connect()
    except RuntimeError as error:
        # The driver wants to set up the socket of its transport: one that was reset meanwhile has none.
        raise errors.OperationalError(2013, f"the server hung up at once: {error}") from error


def mariadb_database(url: URL, options: DatabaseOptions) -> NetworkedDatabase:
    """The MariaDB database that a URL names, not started yet; raises UnsupportedDatabase."""
    return NetworkedDatabase(MariadbDriver(parse_address(url), options), options)
