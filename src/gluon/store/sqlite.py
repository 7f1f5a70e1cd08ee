"""SQLite: one thread that writes, a few that read, each with its own connection.

Life of a write: `write()` puts the work in a queue → the writer takes whatever waits there (at most
`GROUP` works) → BEGIN IMMEDIATE → each work in turn → one COMMIT, one wait for the disk → one wake-up of the
event loop hands out all results. Nothing is handed out before the commit. Under load the queue fills
while the disk is waited for, so groups grow by themselves; nobody ever waits for a group to fill.

One bad member fails alone. A work that raises before it has written is simply left out. When one
raises after it has written, the group is undone and run again, now with each work in a savepoint: those
cost a third of a short work's time, so they wait until they are needed. A rehearsal always gets one, and
is undone in it, which nobody else in the group takes notice of. References are checked by
SQLite when the group commits, where it can not say whose they are: if that fails, the works run
again one by one, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import Dialect

from gluon.store.database import DatabaseError, DatabaseUnavailable, ReferenceViolation, Work
from gluon.store.lockfile import LockFile
from gluon.store.sqlite_connection import DRIVER_ERRORS, SqliteTransaction, explain, open_connection
from gluon.store.statement import Parameters, Statement

LOG = logging.getLogger(__name__)
T = TypeVar("T")

GROUP = 64
"""Most works in one commit: bounds how long the first of them waits for the last."""

_GUEST_PATIENCE = 30.0
"""Seconds that a guest waits for its turn: a busy server leaves only short gaps between its transactions."""


@dataclass(frozen=True, slots=True)
class _Request:
    work: Work[Any]
    future: asyncio.Future[Any]
    is_rehearsal: bool = False
    """What the work does is undone, whatever comes of it."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    request: _Request
    result: Any = None
    error: BaseException | None = None
    wrote: bool = False


class _Delivery:
    """Hands outcomes to their waiters in the event loop, with as few wake-ups as can be."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callbacks: Sequence[Callable[[], None]]) -> None:
        self._loop = loop
        self._callbacks = callbacks
        self._waiting: deque[tuple[Sequence[_Outcome], bool]] = deque()
        self._woken = False

    def put(self, outcomes: Sequence[_Outcome], *, changed: bool = False) -> None:
        """Called in any thread."""
        self._waiting.append((outcomes, changed))
        if not self._woken and not self._loop.is_closed():
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Cleared before the queue is emptied: what is put from now on either is seen below or wakes us again.
        self._woken = False
        any_changed = False
        while self._waiting:
            outcomes, changed = self._waiting.popleft()
            any_changed = any_changed or changed
            for outcome in outcomes:
                future = outcome.request.future
                if future.done():  # its waiter was cancelled meanwhile
                    continue
                if outcome.error is not None:
                    future.set_exception(outcome.error)
                else:
                    future.set_result(outcome.result)
        if any_changed:
            for callback in self._callbacks:
                try:
                    callback()
                except Exception:
                    LOG.exception("A callback after a commit failed")


def _run(connection: sqlite3.Connection, request: _Request) -> _Outcome:
    transaction = SqliteTransaction(connection)
    try:
        return _Outcome(request, transaction.run(request.work))
    except BaseException as error:  # noqa: BLE001 - it is its waiter's, not this thread's
        return _Outcome(request, error=error, wrote=transaction.wrote)


def _roll_back(connection: sqlite3.Connection) -> None:
    # Some errors (a full disk) make SQLite roll back by itself.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class _MustUndoOne(Exception):
    """A work of a group without savepoints failed after it had written."""


def _run_group(
    connection: sqlite3.Connection, requests: Sequence[_Request], *, savepoints: bool
) -> list[_Outcome]:
    """Run the works of a group in the open transaction, and leave in it what those that succeed wrote."""
    outcomes: list[_Outcome] = []
    for request in requests:
        in_savepoint = savepoints or request.is_rehearsal
        if in_savepoint:
            connection.execute("SAVEPOINT member")
        outcome = _run(connection, request)
        outcomes.append(outcome)
        if isinstance(outcome.error, DatabaseUnavailable):
            raise outcome.error
        if in_savepoint:
            if outcome.error is not None or request.is_rehearsal:
                connection.execute("ROLLBACK TO member")
            connection.execute("RELEASE member")
        elif outcome.wrote and len(requests) > 1:
            raise _MustUndoOne
    return outcomes


def _stays(outcome: _Outcome) -> bool:
    return outcome.error is None and not outcome.request.is_rehearsal


def commit_group(
    connection: sqlite3.Connection, requests: Sequence[_Request], *, savepoints: bool = False
) -> list[_Outcome]:
    """Run the works of a group and commit those that succeed; the outcomes, in their order."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = _run_group(connection, requests, savepoints=savepoints)
        connection.execute("COMMIT" if any(map(_stays, outcomes)) else "ROLLBACK")
    except _MustUndoOne:
        _roll_back(connection)
        return commit_group(connection, requests, savepoints=True)
    except (*DRIVER_ERRORS, DatabaseUnavailable) as error:
        _roll_back(connection)
        failure = explain(error)
        if isinstance(failure, ReferenceViolation) and len(requests) > 1:
            return [o for request in requests for o in commit_group(connection, [request])]
        if not isinstance(failure, ReferenceViolation | DatabaseUnavailable):
            failure = DatabaseUnavailable(f"the transaction could not be committed: {failure}")
        return [_Outcome(request, error=failure) for request in requests]
    return outcomes


def _snapshot(connection: sqlite3.Connection, request: _Request) -> _Outcome:
    try:
        connection.execute("BEGIN")
        try:
            return _run(connection, request)
        finally:
            _roll_back(connection)
    except DRIVER_ERRORS as error:
        return _Outcome(request, error=explain(error))


class SqliteDatabase:
    """A SQLite file, held by this process alone; see `gluon.store.database.Database`.

    A `guest` takes no lock: it works beside the server that has it, or without any, on a file that is there
    already. It waits longer for the others' transactions, and has to keep its own short.
    """

    def __init__(
        self, path: str | Path, *, readers: int = 2, busy_timeout: float = 5.0, guest: bool = False
    ) -> None:
        self.path = Path(path)
        self.dialect: Dialect = sqlite_dialect.dialect(paramstyle="qmark")
        self.shared = False
        self.tells_of_commits = True
        self.transactional_ddl = True
        self._reader_count = readers
        self._busy_timeout = _GUEST_PATIENCE if guest else busy_timeout
        self._lock = None if guest else LockFile(self.path.with_name(self.path.name + ".lock"))
        self._writes: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._callbacks: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = False

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have a plain function called in the event loop after every commit that changed something."""
        self._callbacks.append(callback)

    async def start(self) -> None:
        """Lock the file, open it (making it if need be), and start the threads."""
        self._loop = asyncio.get_running_loop()
        if self._lock is not None:
            self._lock.acquire()
        elif not self.path.exists():
            raise DatabaseUnavailable(f"there is no database {self.path}")
        try:
            # The writer comes first: it makes the file and its log, which read-only connections can not.
            await self._start_thread("gluon-store-writer", self._write_loop, read_only=False)
            for number in range(self._reader_count):
                await self._start_thread(f"gluon-store-reader-{number}", self._read_loop, read_only=True)
        except BaseException:
            await self._stop_threads()
            self._unlock()
            raise
        self._open = True

    async def close(self) -> None:
        """Finish what was asked for, close the connections, and let go of the lock."""
        self._open = False
        await self._stop_threads()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    async def write(self, work: Work[T], *, alone: str | None = None) -> T:
        """Run a work in one transaction; its result once that is on the disk. All works run alone here."""
        return await self._ask(self._writes, work)

    async def rehearse(self, work: Work[T]) -> T:
        """Run a work as `write` does, and undo it."""
        return await self._ask(self._writes, work, is_rehearsal=True)

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on one consistent snapshot."""
        return await self._ask(self._reads, work)

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT."""
        return await self.read(lambda tx: tx.fetch(statement, parameters))

    async def _ask(
        self, requests: queue.SimpleQueue[_Request | None], work: Work[T], *, is_rehearsal: bool = False
    ) -> T:
        if not self._open or self._loop is None:
            raise DatabaseUnavailable(f"the database {self.path} is not open")
        future: asyncio.Future[T] = self._loop.create_future()
        requests.put(_Request(work, future, is_rehearsal))
        return await future

    async def _start_thread(
        self,
        name: str,
        serve: Callable[[sqlite3.Connection, _Delivery], None],
        *,
        read_only: bool,
    ) -> None:
        assert self._loop is not None
        loop = self._loop
        opened: asyncio.Future[None] = loop.create_future()
        delivery = _Delivery(loop, self._callbacks)

        def settle(error: DatabaseError | None) -> None:
            if not opened.done():
                if error is not None:
                    opened.set_exception(error)
                else:
                    opened.set_result(None)

        def body() -> None:
            try:
                connection = open_connection(self.path, read_only=read_only, busy_timeout=self._busy_timeout)
            except (sqlite3.Error, DatabaseError) as error:
                reason = DatabaseUnavailable(f"the database {self.path} can not be opened: {error}")
                loop.call_soon_threadsafe(settle, reason)
                return
            loop.call_soon_threadsafe(settle, None)
            try:
                serve(connection, delivery)
            finally:
                connection.close()

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        await opened
        self._threads.append(thread)

    async def _stop_threads(self) -> None:
        threads, self._threads = self._threads, []
        writer, readers = threads[:1], threads[1:]
        # The writer goes last: only the last connection removes the log, and those that read can't.
        for requests, leaving in ((self._reads, readers), (self._writes, writer)):
            for _ in leaving:
                requests.put(None)
            for thread in leaving:
                await asyncio.to_thread(thread.join)

    def _write_loop(self, connection: sqlite3.Connection, delivery: _Delivery) -> None:
        running = True
        while running:
            request = self._writes.get()
            group: list[_Request] = []
            try:
                while request is not None and len(group) < GROUP:
                    if not request.future.cancelled():
                        group.append(request)
                    if len(group) < GROUP:
                        request = self._writes.get_nowait()
            except queue.Empty:
                pass
            running = request is not None
            if group:
                before = connection.total_changes
                try:
                    outcomes = commit_group(connection, group)
                except Exception as error:
                    # The next group's BEGIN tells whether the connection is still good.
                    LOG.exception("A group of %d transactions failed", len(group))
                    failure = DatabaseUnavailable(f"the transaction failed: {error}")
                    outcomes = [_Outcome(member, error=failure) for member in group]
                changed = connection.total_changes != before and any(map(_stays, outcomes))
                delivery.put(outcomes, changed=changed)

    def _read_loop(self, connection: sqlite3.Connection, delivery: _Delivery) -> None:
        while (request := self._reads.get()) is not None:
            if not request.future.cancelled():
                delivery.put([_snapshot(connection, request)])
