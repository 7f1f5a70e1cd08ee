"""Connections to a networked database that transactions take turns with."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from gluon.store.database import DatabaseUnavailable
from gluon.store.driver import Session


class SessionPool:
    """At most `size` open sessions, opened when they are needed, handed out first come, first served.

    `connect` opens one and raises DatabaseUnavailable. `on_dead` is told of each that broke while it
    was idle.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        size: int,
        timeout: float,
        on_dead: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._on_dead = on_dead
        self._size = size
        self._timeout = timeout
        self._idle: list[Session] = []
        self._taken = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._emptied = asyncio.Event()

    @property
    def taken(self) -> int:
        """How many sessions are in use, or being opened."""
        return self._taken

    @property
    def idle(self) -> int:
        """How many are open and wait to be used."""
        return len(self._idle)

    async def acquire(self) -> Session:
        """A session of the caller's own until it is released.

        Raises DatabaseUnavailable when the database can't be reached, and when no session becomes free
        in time. A caller that is cancelled leaves none behind.
        """
        if self._closed:
            raise DatabaseUnavailable("the database is not open")
        if self._taken >= self._size or self._waiters:
            await self._wait()
        else:
            self._taken += 1
        # From here on the place is ours, with or without a session in it.
        try:
            while self._idle:
                session = self._idle.pop()
                if session.usable:
                    return session
                self._bury(session)
            return await self._connect()
        except BaseException:
            self._give_place()
            raise

    def release(self, session: Session) -> None:
        """Give a session back; one that is not usable any more is dropped."""
        if session.usable and not self._closed:
            self._idle.append(session)
        else:
            session.abort()
        self._give_place()

    def drop_idle(self) -> None:
        """Drop all sessions that are not in use: one broke, and the others probably did with it."""
        idle, self._idle = self._idle, []
        for session in idle:
            if session.usable:
                session.abort()
            else:
                self._bury(session)

    def _bury(self, session: Session) -> None:
        """Drop a session that broke while nobody used it."""
        session.abort()
        self._on_dead()

    async def close(self) -> None:
        """Wait for sessions that are in use, then close all."""
        self._closed = True
        if self._taken:
            await self._emptied.wait()
        idle, self._idle = self._idle, []
        await asyncio.gather(*[session.close() for session in idle])

    async def _wait(self) -> None:
        """Wait until somebody hands over a place."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        try:
            async with asyncio.timeout(self._timeout):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                # It was handed over just when we gave up.
                self._give_place()
            else:
                self._waiters.remove(place)
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailable(
                    f"all {self._size} connections to the database are in use, and none became free for "
                    f"{self._timeout:g} s: [database] max_pool_size sets how many there may be"
                ) from error
            raise

    def _give_place(self) -> None:
        while self._waiters:
            place = self._waiters.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._taken -= 1
        if self._closed and not self._taken:
            self._emptied.set()
