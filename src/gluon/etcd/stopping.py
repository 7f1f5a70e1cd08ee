"""Running work until somebody says stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run work to its end, or until `stop` is set: then it is cancelled, and has ended when this returns.

    What the work raises is raised; cancelling this cancels the work.
    """
    running = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        stopped = not running.done()
        running.cancel()
        await asyncio.wait((running,))
    if not (stopped and running.cancelled()):
        running.result()
