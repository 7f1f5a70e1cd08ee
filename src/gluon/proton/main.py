"""`proton-server`: the API server that hosts the Protons."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from oslo_config import cfg

from gluon import __version__
from gluon.log.own_file import send_to_own_file
from gluon.log.setup import set_up_logging
from gluon.proton.options import Settings, load
from gluon.store.database import DatabaseError, open_database

_STOPPING = 5.0
"""Seconds beyond drain delay and bind timeout that workers get to end: to answer, to close connections, to
hand over.
"""


def main() -> None:
    """Run the server until SIGTERM or Ctrl-C; exit code 1 with one line on stderr if it can't start."""
    try:
        conf, settings = load(sys.argv[1:], __version__)
        if settings.workers > 1 and not open_database(settings.database_url).shared:
            raise ValueError(
                f"{settings.workers} workers can't share a SQLite database, which serves one process: "
                "set [database] connection to PostgreSQL or MariaDB, or [api] workers to 1"
            )
    except (cfg.Error, ValueError, DatabaseError) as error:
        _fail(str(error))
    try:
        set_up_logs(settings)
    except OSError as error:
        _fail(f"[audit] file {settings.audit.file}: {error.strerror or error}")
    listening = _bind(settings)
    if settings.workers > 1:
        _supervise(settings, listening, sys.argv[1:])
    else:
        _serve_alone(conf, settings, listening)


def set_up_logs(settings: Settings) -> None:
    """Set up this process's log, and its audit; raises OSError for an audit file that can't be opened."""
    set_up_logging(settings.log)
    if settings.audit.file is not None:
        send_to_own_file("gluon.audit", settings.audit.file)


def _serve_alone(conf: cfg.ConfigOpts, settings: Settings, listening: socket.socket) -> None:
    # Only a process that serves needs all of this: the parent of workers stays small.
    import uvloop

    from gluon.etcd.acceptance import UnsafeVersion
    from gluon.proton.hosting import HostingError
    from gluon.proton.serving import serve
    from gluon.proton.web.acceptor import CannotListen

    try:
        whole = uvloop.run(serve(conf, settings, listening))
    except (DatabaseError, HostingError, UnsafeVersion, CannotListen) as error:
        _fail(str(error))
    if not whole:
        raise SystemExit(1)


def _supervise(settings: Settings, listening: socket.socket, arguments: Sequence[str]) -> None:
    from gluon.proton.crowd import Crowd
    from gluon.proton.workers import CannotWork, Place, Workers
    from gluon.telemetry.worker_files import WorkerFiles

    crowd_fd = Crowd.create(settings.workers)

    def command(number: int, report: int) -> list[str]:
        place = Place(os.getpid(), number, settings.workers, listening.fileno(), crowd_fd, report)
        return place.command(arguments)

    async def run(metrics: WorkerFiles) -> None:
        workers = Workers(
            settings.workers,
            command,
            (listening.fileno(), crowd_fd),
            grace=settings.drain_delay + settings.bind_timeout + _STOPPING,
            close=listening.close,
            left=Crowd(crowd_fd, settings.workers).leave,
            environment=metrics.environment(),
            died=metrics.died,
        )
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, workers.stop)
        await workers.run()

    try:
        with WorkerFiles() as metrics:
            asyncio.run(run(metrics))
    except CannotWork as error:
        _fail(str(error))


def _bind(settings: Settings) -> socket.socket:
    """The server's address, taken but not listened on yet: that begins when requests can be answered."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # A server that starts again need not wait until its last connections have been forgotten.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        _fail(f"can't listen on {settings.host} port {settings.port}: {error.strerror or error}")
    return bound


def _fail(message: str) -> NoReturn:
    print(f"proton-server: {message}", file=sys.stderr)
    raise SystemExit(1)
