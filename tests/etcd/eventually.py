"""Waiting for what must become true, and for no time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gluon.etcd.client import EtcdError

T = TypeVar("T")

_PATIENCE = 15.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; TimeoutError when it doesn't come to that."""
    async with asyncio.timeout(_PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer of etcd, which may be away for a while."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                return await ask()
            except EtcdError:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(loop: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a loop in the block; what ended it before is raised."""
    task = asyncio.ensure_future(loop)
    try:
        yield task
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait([task])
