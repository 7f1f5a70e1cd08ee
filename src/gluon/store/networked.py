"""A database behind a network: works run on the event loop, each on a pool connection of its own.

Life of a write: the work runs, and its INSERTs are kept → as soon as it wants more, a session is taken from
the pool → BEGIN (READ COMMITTED) → the rest of the work's statements → COMMIT → the session goes back →
callbacks. From the session on this is a task that the caller's cancellation doesn't reach. A work that wants
no more than INSERTs is committed together with others like it (`gluon.store.group_commit`); when that fails
with anything but an unknown outcome, each of them is done alone.

What can go wrong, and what then happens:

- Another transaction is in the way (deadlock, serialization or certification failure): the database has
  undone ours. The whole work is run again after a random pause, a bounded number of times.
- The connection breaks before the commit: the database undoes the transaction, so the work is run again
  on a new connection; with the database away that fails at once, with DatabaseUnavailable.
- The connection breaks in the commit: the transaction is looked up by a mark that it got before. Committed:
  the caller gets its result. Undone: the work is run again. Can't be learnt: OutcomeUnknown.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import coroutine
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect

from gluon.store.database import (
    DatabaseError,
    DatabaseOptions,
    DatabaseUnavailable,
    OutcomeUnknown,
    Transaction,
    Work,
)
from gluon.store.driver import AccessRefused, ConnectionLost, Contention, Driver, Outcome, Session
from gluon.store.group_commit import GroupCommit, Member
from gluon.store.networked_transaction import NetworkedTransaction, RefusedLate
from gluon.store.pool import SessionPool
from gluon.store.statement import Parameters, Statement

LOG = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5
"""Seconds before a work is run again: at most the first, doubled with each time, up to the longest."""
_CONNECT_PAUSE = 0.2
"""Seconds between attempts to reach a database that is away."""


@dataclass
class DatabaseCounters:
    """What happened on the database of this process, for metrics."""

    commits: int = 0
    contentions: int = 0
    """Transactions that met another one and were run again."""
    connections_lost: int = 0
    """Those that broke in use, and those that were found broken when they were to be used."""
    outcomes_looked_up: int = 0


class NetworkedDatabase:
    """A database that several processes share; see `gluon.store.database.Database`."""

    shared = True
    tells_of_commits = False

    def __init__(self, driver: Driver, options: DatabaseOptions) -> None:
        self.dialect: Dialect = driver.dialect
        self.transactional_ddl = driver.transactional_ddl
        self.counters = DatabaseCounters()
        self._driver = driver
        self._options = options
        self._pool = SessionPool(self._connect, options.max_pool_size, options.pool_timeout, self._count_lost)
        self._callbacks: list[Callable[[], None]] = []
        self._groups = GroupCommit(self._commit_group)
        self._alone: set[asyncio.Task[None]] = set()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have a plain function called in the event loop after every commit that changed something."""
        self._callbacks.append(callback)

    async def start(self) -> None:
        """Reach the database once; it is waited for as long as a request would wait for a connection."""
        deadline = asyncio.get_running_loop().time() + self._options.pool_timeout
        while True:
            try:
                session = await self._pool.acquire()
            except DatabaseUnavailable as error:
                if isinstance(error, AccessRefused) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(_CONNECT_PAUSE)
            else:
                self._pool.release(session)
                return

    async def close(self) -> None:
        """Finish what was begun, then close all connections."""
        await self._pool.close()

    async def write(self, work: Work[T], *, alone: str | None = None) -> T:
        """Run a work in one transaction; its result once that is committed."""
        with _heeding_cancellation():
            if alone is not None:
                return await self._completed(work, alone=alone)
            transaction = NetworkedTransaction(self._driver)
            running = work(transaction)
            try:
                wanted = running.send(None)
            except StopIteration as over:
                result: T = over.value
                return await self._groups.add(work, transaction, result) if transaction.wrote else result
            return await self._completed(work, (transaction, _going_on(running, wanted)))

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on one consistent snapshot."""
        return await self._without_trace(lambda session: self._run_and_undo(session, work, read_only=True))

    async def fetch(self, statement: Statement, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT."""
        values = statement.arrange(parameters)
        return await self._without_trace(lambda session: self._query(session, statement.text, values))

    async def rehearse(self, work: Work[T]) -> T:
        """Run a work as `write` does, and undo it."""
        return await self._without_trace(lambda session: self._run_and_undo(session, work, read_only=False))

    async def _completed(
        self,
        work: Work[T],
        begun: tuple[NetworkedTransaction, Coroutine[Any, Any, T]] | None = None,
        *,
        alone: str | None = None,
    ) -> T:
        """Complete a work, which may have begun in a transaction that has no session yet."""
        try:
            session = await self._pool.acquire()
        except BaseException:
            if begun is not None:
                begun[1].close()
            raise
        # What has a session is completed, even if its caller is gone.
        completing = asyncio.create_task(self._complete(session, work, begun, alone))
        completing.add_done_callback(_heard)
        return await asyncio.shield(completing)

    async def _complete(
        self,
        session: Session,
        work: Work[T],
        begun: tuple[NetworkedTransaction, Coroutine[Any, Any, T]] | None,
        alone: str | None,
        *,
        at_once: bool = False,
    ) -> T:
        attempt = 0
        while True:
            if begun is not None:
                (transaction, running), begun = begun, None
                transaction.session = session
            else:
                transaction = NetworkedTransaction(self._driver, session, at_once=at_once)
                running = work(transaction)
            try:
                return await self._attempt(session, transaction, running, alone)
            except RefusedLate:
                at_once = True
            except (ConnectionLost, Contention) as error:
                attempt += 1
                await self._before_retry(error, attempt)
            session = await self._pool.acquire()

    async def _commit_group(self, group: list[Member]) -> None:
        """Commit the rows of several works at once, or each for itself; all of them learn how it went."""

        async def work(transaction: Transaction) -> None:
            for member in group:
                together.adopt(member.rows)

        try:
            session = await self._pool.acquire()
            together = NetworkedTransaction(self._driver, session)
            await self._attempt(session, together, work(together), None)
        except OutcomeUnknown as error:
            for member in group:
                member.fail(error)
        except DatabaseError as error:
            self._count(error)
            for member in group:
                task = asyncio.create_task(self._complete_alone(member))
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
        except BaseException as error:
            for member in group:
                member.fail(DatabaseUnavailable(f"the transaction failed: {error}"))
            raise
        else:
            for member in group:
                member.succeed(member.result)

    async def _complete_alone(self, member: Member) -> None:
        try:
            session = await self._pool.acquire()
            result = await self._complete(session, member.work, None, None, at_once=True)
        except Exception as error:  # noqa: BLE001 - it is its waiter's
            member.fail(error)
        else:
            member.succeed(result)

    async def _attempt(
        self,
        session: Session,
        transaction: NetworkedTransaction,
        running: Coroutine[Any, Any, T],
        alone: str | None,
    ) -> T:
        """Run a work once on a session, which goes back to the pool however that ends."""
        mark = None
        locked = False
        try:
            if alone is not None:
                await session.lock(alone)
                locked = True
            await session.begin(read_only=False)
            result = await self._run(session, transaction, running)
            if transaction.wrote:
                mark = await session.mark(transaction.number)
            committed = await self._commit(session)
            if alone is not None and committed:
                await self._unlock(session, alone)
        except self._driver.errors as error:
            session.abort()
            raise self._driver.explain(error) from error
        except BaseException:
            if locked:
                session.abort()  # which lets go of the lock, too
            raise
        finally:
            running.close()
            self._pool.release(session)
        if not committed and mark is not None:
            await self._look_up(mark, transaction.number)
        if transaction.wrote:
            self.counters.commits += 1
            self._changed()
        return result

    async def _run(
        self, session: Session, transaction: NetworkedTransaction, running: Coroutine[Any, Any, T]
    ) -> T:
        """Run a work in the transaction that has begun; when it fails that is undone."""
        try:
            result = await running
            if transaction.failure is not None:
                raise transaction.failure
            await transaction.flush()
        except BaseException as error:
            failure = transaction.failure
            if isinstance(failure, DatabaseUnavailable) or isinstance(error, asyncio.CancelledError):
                session.abort()
            else:
                await self._roll_back(session)
            # Whatever the work made of these: it is not over.
            if isinstance(failure, ConnectionLost | Contention | RefusedLate) and failure is not error:
                raise failure from error
            raise
        return result

    async def _unlock(self, session: Session, name: str) -> None:
        try:
            await session.unlock(name)
        except self._driver.errors:
            session.abort()  # which lets go of it, too

    async def _roll_back(self, session: Session) -> None:
        try:
            await session.roll_back()
        except self._driver.errors:
            session.abort()  # which undoes it, too

    async def _commit(self, session: Session) -> bool:
        """Commit; False when the connection broke and nobody knows how it went."""
        try:
            await session.commit()
        except self._driver.errors as error:
            explained = self._driver.explain(error)
            if isinstance(explained, DatabaseUnavailable):
                LOG.warning("the connection broke in a commit: %s", explained)
                session.abort()
                return False
            await self._roll_back(session)
            raise explained from error
        return True

    async def _look_up(self, mark: Any, number: int) -> None:
        """Return if it was committed; raises ConnectionLost if it was undone, or OutcomeUnknown."""
        self.counters.outcomes_looked_up += 1
        self._pool.drop_idle()
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._options.pool_timeout
        reason = "the database does not know"
        while clock() < deadline:
            try:
                session = await self._pool.acquire()
                try:
                    outcome = await self._driver.outcome(mark, number, session)
                except BaseException:
                    session.abort()
                    raise
                finally:
                    self._pool.release(session)
            except DatabaseUnavailable as error:
                reason = str(error)
            except self._driver.errors as error:
                reason = str(self._driver.explain(error))
            else:
                if outcome is Outcome.COMMITTED:
                    self._count_lost()
                    return
                if outcome is Outcome.UNDONE:
                    raise ConnectionLost("the connection broke in the commit, which was undone")
                if outcome is Outcome.UNKNOWN:
                    break
                reason = "the database is still at it"
            await asyncio.sleep(_CONNECT_PAUSE)
        self._count_lost()
        raise OutcomeUnknown(
            f"the connection to the database broke in a commit, and whether that was done can't be learnt: "
            f"{reason}"
        )

    async def _without_trace(self, use: Callable[[Session], Awaitable[T]]) -> T:
        """Use a session for what leaves nothing behind, and can be done again."""
        attempt = 0
        while True:
            try:
                with _heeding_cancellation():
                    session = await self._pool.acquire()
                    return await use(session)
            except (ConnectionLost, Contention) as error:
                attempt += 1
                await self._before_retry(error, attempt)

    async def _run_and_undo(self, session: Session, work: Work[T], *, read_only: bool) -> T:
        # What is undone is not sent later: a rehearsal has to tell what is wrong with it.
        transaction = NetworkedTransaction(self._driver, session, at_once=True)
        running = work(transaction)
        try:
            await session.begin(read_only=read_only)
            result = await self._run(session, transaction, running)
            await session.roll_back()
        except self._driver.errors as error:
            session.abort()
            raise self._driver.explain(error) from error
        except asyncio.CancelledError:
            session.abort()
            raise
        finally:
            running.close()
            self._pool.release(session)
        return result

    async def _query(self, session: Session, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return await session.query(text, values)
        except self._driver.errors as error:
            session.abort()
            raise self._driver.explain(error) from error
        except BaseException:
            session.abort()
            raise
        finally:
            self._pool.release(session)

    async def _before_retry(self, error: DatabaseError, attempt: int) -> None:
        """Pause before a work is run again; raises DatabaseUnavailable when it was often enough."""
        self._count(error)
        if attempt > self._options.max_retries:
            raise DatabaseUnavailable(f"given up after {attempt} attempts: {error}") from error
        if attempt > 1 or isinstance(error, Contention):
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            # Those that met must not meet again: the random part is all of it.
            await asyncio.sleep(random.uniform(0, longest))

    def _count(self, error: DatabaseError) -> None:
        if isinstance(error, ConnectionLost):
            self._count_lost()
            self._pool.drop_idle()
        elif isinstance(error, Contention):
            self.counters.contentions += 1

    def _count_lost(self) -> None:
        self.counters.connections_lost += 1

    def _changed(self) -> None:
        """Called after a commit of ours that changed something."""
        self._call_back()

    def _call_back(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                LOG.exception("A callback after a commit failed")

    async def _connect(self) -> Session:
        try:
            async with asyncio.timeout(self._options.pool_timeout):
                return await self._driver.connect()
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"{self._driver.name} does not answer within {self._options.pool_timeout:g} s"
            ) from error
        except AccessRefused as error:
            raise AccessRefused(f"{self._driver.name} can't be used: {error}") from error
        except self._driver.errors as error:
            kind = AccessRefused if isinstance(self._driver.explain(error), AccessRefused) else None
            raise (kind or DatabaseUnavailable)(
                f"{self._driver.name} can't be reached: {str(error) or type(error).__name__}"
            ) from error


def _heard(task: asyncio.Task[Any]) -> None:
    """Have asyncio not complain of an error that nobody has heard: whoever waited for it was let go."""
    if not task.cancelled():
        task.exception()


async def _going_on(running: Coroutine[Any, Any, T], wanted: Any) -> T:
    """The rest of a coroutine that was driven up to where it yielded `wanted`."""
    try:
        return await _rest(running, wanted)
    finally:
        running.close()


@coroutine
def _rest(running: Coroutine[Any, Any, T], wanted: Any) -> Generator[Any, Any, T]:
    if wanted is not None:
        yield wanted
    result: T = yield from running
    return result


@contextmanager
def _heeding_cancellation() -> Iterator[None]:
    """Have the task end that was cancelled, even if a driver has lost that on its way.

    One that tidies up after a cancellation, on the connection that it has just closed for it, may raise what
    comes of that instead, or nothing.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
