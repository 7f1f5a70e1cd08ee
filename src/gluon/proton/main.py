"""`proton-server`: the API server that hosts the Protons."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from typing import NoReturn

import uvicorn
import uvloop
from oslo_config import cfg

from gluon import __version__
from gluon.proton.hosting import HostingError
from gluon.proton.options import Settings, load
from gluon.proton.server import ProtonServer
from gluon.proton.web.connection import Connection
from gluon.store.database import DatabaseError

_log = logging.getLogger("gluon.proton")

_DRAIN_MARGIN = 2.0
"""Seconds beyond the bind timeout that a stopping server gives to requests under way."""


def main() -> None:
    """Run the server until SIGTERM or Ctrl-C; exit code 1 with one line on stderr if it can't start."""
    try:
        conf, settings = load(sys.argv[1:], __version__)
    except (cfg.Error, ValueError) as error:
        _fail(str(error))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        listening = _listen(settings)
    except OSError as error:
        _fail(f"can't listen on {settings.host} port {settings.port}: {error.strerror or error}")
    try:
        uvloop.run(_serve(conf, settings, listening))
    except (DatabaseError, HostingError) as error:
        _fail(str(error))


async def _serve(conf: cfg.ConfigOpts, settings: Settings, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    proton = ProtonServer(conf, settings, default_url=f"http://{host}:{port}")
    config = uvicorn.Config(
        proton.app,
        http=Connection,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.bind_timeout + _DRAIN_MARGIN),
        backlog=4096,
    )
    server = _Server(config)
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, server.handle_exit, signum, None)
    await proton.start()
    try:
        _log.info("listening on %s:%d", host, port)
        ending = asyncio.create_task(_end_with(proton, server))
        await server.serve(sockets=[listening])
        ending.cancel()
    finally:
        await asyncio.shield(proton.stop())
    if proton.broken.is_set():
        raise SystemExit(1)


async def _end_with(proton: ProtonServer, server: uvicorn.Server) -> None:
    """End the server when a part of it has broken: half a server helps nobody, and a new one may be whole."""
    await proton.broken.wait()
    server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn ends by raising the signal that ended it once more: it would kill us before our own stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the event loop."""
        yield


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=4096)


def _fail(message: str) -> NoReturn:
    print(f"proton-server: {message}", file=sys.stderr)
    raise SystemExit(1)
