"""Tells other servers on the same PostgreSQL of commits, and hears of theirs (LISTEN / NOTIFY)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from gluon.store.postgresql_session import DRIVER_ERRORS

LOG = logging.getLogger(__name__)

CHANNEL = "gluon_outbox"

_PAUSES = (0.05, 0.2, 0.5, 1.0)
"""Seconds between attempts to connect again; the last one for all further ones."""
_PROBE = 20.0
"""Seconds of silence after which the connection is tried: one that is dead hears nothing, for ever."""


class CommitSignal:
    """One connection that listens, and notifies after commits.

    A notification is never part of the transaction it tells of: PostgreSQL lets only one notifying
    transaction commit at a time. Commits while one is under way share the next. What can't be told
    while the connection is away is told when it is back, and since others' may have been missed
    meanwhile, `heard` is called then, too.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]], heard: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._heard = heard
        self._wake = asyncio.Event()
        self._to_tell = False
        self.notified = 0
        """Notifications sent so far."""

    def tell(self) -> None:
        """Have the others told of a commit, soon."""
        self._to_tell = True
        self._wake.set()

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        failures = 0
        connected_before = False
        while True:
            try:
                connection = await self._connect()
            except DRIVER_ERRORS as error:
                if not failures:
                    LOG.warning("can't listen for commits of other servers, trying again: %s", error)
            else:
                try:
                    await connection.add_listener(CHANNEL, self._on_notification)
                    if connected_before:
                        LOG.info("listening for commits of other servers again")
                        self._heard()
                    connected_before, failures = True, 0
                    await self._serve(connection)
                except DRIVER_ERRORS as error:
                    LOG.warning("the connection that listens for commits broke: %s", error)
                finally:
                    connection.terminate()
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1

    async def _serve(self, connection: asyncpg.Connection[Any]) -> None:
        """Notify when asked to, until the connection breaks."""
        connection.add_termination_listener(lambda _: self._wake.set())
        while not connection.is_closed():
            if self._to_tell:
                self._to_tell = False
                try:
                    await connection.execute(f"NOTIFY {CHANNEL}")
                except BaseException:
                    self._to_tell = True
                    raise
                self.notified += 1
                continue
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PROBE):
                    await self._wake.wait()
                    continue
            await connection.execute("SELECT 1")
        raise ConnectionError("it was closed")

    def _on_notification(self, connection: Any, sender: int, channel: str, payload: object) -> None:
        # Of our own commits we know.
        if sender != connection.get_server_pid():
            self._heard()
