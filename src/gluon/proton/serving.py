"""One serving process: a whole Proton Server, from its start to its clean end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import uvicorn
from oslo_config import cfg

from gluon.proton.crowd import Crowd
from gluon.proton.options import Settings
from gluon.proton.server import ProtonServer
from gluon.proton.web.acceptor import Acceptor
from gluon.proton.web.connection import Connection

_log = logging.getLogger(__name__)

DRAIN_MARGIN = 2.0
"""Seconds beyond the bind timeout that a stopping server gives to requests under way."""

_LAST_WORD = 1.0
"""Seconds that requests have to be answered whose time is over: all that is left to do is the answer."""

_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than clients and load balancers keep theirs, so that it
is they who close it, and no request crosses with our closing it."""


async def serve(
    conf: cfg.ConfigOpts,
    settings: Settings,
    listening: socket.socket,
    *,
    place: tuple[Crowd, int] | None = None,
    ready: Callable[[], None] = lambda: None,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> bool:
    """Serve on a bound socket until one of the signals; False when a part of the server broke instead.

    `place` is a worker's own among those that share the socket. `ready` is called once the socket listens,
    which it does when requests can be answered. Raises DatabaseError, HostingError,
    UnsafeVersion and CannotListen.
    """
    proton = ProtonServer(conf, settings, default_url=f"http://{_address(settings, listening)}")
    server = _Server(proton, settings, listening, place, ready)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    def asked_to_end(signum: signal.Signals) -> None:
        if stop.is_set() or not settings.drain_delay:
            # Who asks a second time, at a terminal, doesn't want to wait.
            server.force_exit = stop.is_set() and signum is signal.SIGINT
            end()
        else:
            _log.info(
                "asked to end: not ready any more, and closing the address in %g s", settings.drain_delay
            )
            loop.call_later(settings.drain_delay, end)
        proton.leave()
        stop.set()

    for signum in signals:
        loop.add_signal_handler(signum, asked_to_end, signum)
    try:
        if await _done_before(stop, proton.start()):
            # What a server is made of stays: the collector need not go through all of it time and again.
            gc.collect()
            gc.freeze()
            ending = asyncio.create_task(_end_with(proton, server))
            await server.serve()
            ending.cancel()
    finally:
        await asyncio.shield(proton.stop())
    return not proton.broken.is_set()


def _address(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{listening.getsockname()[1]}"


async def _done_before(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, unless told to stop meanwhile; whether it was done. Raises what the work raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    await asyncio.wait((working,))
    if working.cancelled():
        return False
    working.result()
    return not stop.is_set()


async def _end_with(proton: ProtonServer, server: uvicorn.Server) -> None:
    """End the server when a part of it has broken: half a server helps nobody, and a new one may be whole."""
    await proton.broken.wait()
    server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, but for how it listens, and that signals are ours."""

    def __init__(
        self,
        proton: ProtonServer,
        settings: Settings,
        listening: socket.socket,
        place: tuple[Crowd, int] | None,
        ready: Callable[[], None],
    ) -> None:
        config = uvicorn.Config(
            proton.app,
            http=Connection,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=math.ceil(settings.bind_timeout + DRAIN_MARGIN),
        )
        super().__init__(config)
        self._address = _address(settings, listening)
        self._ready = ready
        connections = self.server_state.connections
        self._acceptor = Acceptor(listening, self._connection, connections.__len__, place)

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, app_state={})

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen; raises CannotListen."""
        await super().startup(sockets=[])
        self._acceptor.start()
        # uvicorn asks no more of what it closes than that it can be closed.
        self.servers = [self._acceptor]  # type: ignore[list-item]
        _log.info("listening on %s", self._address)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what is under way, and have what takes too long say so."""
        await super().shutdown(sockets)
        # They were cancelled, and uvicorn waits for no answer to that (see `gluon.proton.web.last_word`).
        late = set(self.server_state.tasks)
        if late and not self.force_exit:
            await asyncio.wait(late, timeout=_LAST_WORD)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self._acceptor.tell()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the event loop: uvicorn would raise the one that ended it once more."""
        yield
