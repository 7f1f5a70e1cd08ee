"""Takes new connections from the listening socket, which several workers may share.

All workers accept from one queue. With a socket each (SO_REUSEPORT) the kernel would spread connections by
itself, but those that it gave to a worker that has died, hangs or is still starting would be reset or wait
for that one worker. From one queue, whoever is able takes them, and a death loses none that wait.

What is left to chance is who comes first, and then one worker takes most of a burst. So workers tell each
other how many connections they have, and one that is ahead of another lets it go first for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from gluon.proton.crowd import Crowd
from gluon.proton.web.connection import Connection

_log = logging.getLogger(__name__)

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel's own limit (net.core.somaxconn) may be lower."""

_GIVE_WAY = 0.002
"""Seconds that the others have to be first: one that is idle needs a fraction of that."""

_AT_ONCE = 16
"""Connections taken by one who gave way and still finds some: the others are busy."""

_PAUSE = 1.0
"""Seconds until accepting is tried again when it can't be done, for want of file descriptors mostly."""


class CannotListen(Exception):
    """Another process listens there, or the address isn't this machine's."""


class Acceptor:
    """Accepts connections; stands in for an asyncio server in uvicorn's hands.

    The socket listens from `start` on and not before: until a worker can answer, clients and load balancers
    are refused, and go elsewhere, instead of waiting in a queue for a server that may never come up.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_connection: Callable[[], Connection],
        open_connections: Callable[[], int],
        place: tuple[Crowd, int] | None = None,
    ) -> None:
        """`place` is a worker's own among the others; None for one that is alone."""
        self._listening = listening
        self._make_connection = make_connection
        self._open_connections = open_connections
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Listen and accept. Raises CannotListen when another process has come to listen there meanwhile."""
        try:
            self._listening.listen(BACKLOG)
        except OSError as error:
            raise CannotListen(f"can't listen any more: {error.strerror or error}") from error
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening, self._accept)
        self.tell()

    def tell(self) -> None:
        """Tell the other workers how many connections there are here."""
        if self._place is not None and not self._closed:
            crowd, worker = self._place
            crowd.tell(worker, self._has())

    def close(self) -> None:
        """Stop listening. Connections that wait are accepted first: closing would reset them."""
        if self._closed:
            return
        self._closed = True
        if self._place is not None:
            crowd, worker = self._place
            crowd.leave(worker)
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._listening)
        try:
            while self._take():
                pass
        except OSError as error:
            _log.error("connections that waited could not be accepted: %s", error)
        self._listening.close()

    async def wait_closed(self) -> None:
        """Return when the connections accepted last have begun."""
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _has(self) -> int:
        return self._open_connections() + len(self._beginning)

    def _accept(self) -> None:
        try:
            if not self._take_our_share():
                self._pause(_GIVE_WAY)
        except OSError as error:
            self._cannot(error)

    def _take_our_share(self) -> bool:
        """Accept until nothing waits, or another worker should go first: then False."""
        while self._place is None or not self._place[0].is_ahead(self._has()):
            if not self._take():
                return True
            self.tell()
        return False

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._resume = self._loop.call_later(seconds, self._accept_rest)

    def _accept_rest(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listening, self._accept)
        try:
            for _ in range(_AT_ONCE):
                if not self._take():
                    break
        except OSError as error:
            self._cannot(error)
        self.tell()

    def _cannot(self, error: OSError) -> None:
        _log.error("can't accept connections, trying again in %g s: %s", _PAUSE, error)
        self._pause(_PAUSE)

    def _take(self) -> bool:
        """Accept one connection; False when none waits."""
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        accepted.setblocking(False)
        task = asyncio.ensure_future(self._begin(accepted))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        return True

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            _, connection = await self._loop.connect_accepted_socket(self._make_connection, accepted)
        except OSError:
            # The client has gone already.
            accepted.close()
            return
        if self._closed:
            connection.shutdown()
