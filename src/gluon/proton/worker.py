"""A worker process of `proton-server`: a whole server that shares its listening socket with others.

A program of its own, not a fork of its parent: neither threads nor gRPC survive a fork.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

import uvloop
from oslo_config import cfg

from gluon import __version__
from gluon.etcd.acceptance import UnsafeVersion
from gluon.proton.crowd import Crowd
from gluon.proton.hosting import HostingError
from gluon.proton.main import set_up_logs
from gluon.proton.options import load
from gluon.proton.serving import serve
from gluon.proton.web.acceptor import CannotListen
from gluon.proton.workers import READY, Place
from gluon.store.database import DatabaseError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve until SIGTERM; exit code 1 if it can't, which the parent is told in one line."""
    place = Place(*map(int, sys.argv[1:7]))
    _die_with(place.parent)
    # Ctrl-C at a terminal goes to all processes there; when to end is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        conf, settings = load(sys.argv[7:], __version__)
        set_up_logs(settings)
        whole = uvloop.run(
            serve(
                conf,
                settings,
                socket.socket(fileno=place.listening),
                place=(Crowd(place.crowd, place.workers), place.number),
                ready=lambda: _report(place, READY),
                signals=(signal.SIGTERM,),
            )
        )
    except (
        cfg.Error,
        ValueError,
        OSError,
        CannotListen,
        DatabaseError,
        HostingError,
        UnsafeVersion,
    ) as error:
        _report(place, str(error))
        raise SystemExit(1) from None
    raise SystemExit(0 if whole else 1)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone, however that went."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
    # A parent that died before the call above sends no signal any more.
    if os.getppid() != parent:
        sys.exit(1)


def _report(place: Place, line: str) -> None:
    os.write(place.report, f"{' '.join(line.split())}\n".encode())


if __name__ == "__main__":
    main()
