"""`proton-shim-server`: the process beside a controller."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from gluon import __version__
from gluon.log.setup import set_up_logging
from gluon.shim.check import check
from gluon.shim.errors import ShimError
from gluon.shim.extensions import Extensions
from gluon.shim.server import ShimServer
from gluon.shim.settings import ShimSettings, load


def main() -> None:
    """Run the shim server until SIGTERM or Ctrl-C, or with `--check` try whether it would run.

    Exit code 1 with one line on stderr if it can't.
    """
    try:
        conf, settings = load(sys.argv[1:], __version__)
        extensions = Extensions(conf)
        if conf.check:
            raise SystemExit(0 if uvloop.run(_check(settings, extensions)) else 1)
        for backend in settings.handlers.values():
            extensions.backend_class(backend)
        set_up_logging(settings.log)
        uvloop.run(_serve(ShimServer(settings, extensions)))
    except ShimError as error:
        print(f"proton-shim-server: {error}", file=sys.stderr)
        raise SystemExit(1) from error


async def _check(settings: ShimSettings, extensions: Extensions) -> bool:
    good = True
    async for finding in check(settings, extensions):
        print(finding, flush=True)
        good = good and finding.good
    return good


async def _serve(server: ShimServer) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, server.stop)
    await server.run()
