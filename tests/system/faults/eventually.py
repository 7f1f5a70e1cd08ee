"""Waiting for what must become true: a check is asked until it holds, and says what it saw if it doesn't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from gluon.etcd.errors import EtcdError

T = TypeVar("T")


async def eventually(check: Callable[[], Awaitable[T]], within: float = 20.0) -> T:
    """What the check gives once it raises nothing any more; its last complaint when time is up.

    It may complain by AssertionError. Servers that don't answer count as complaints too.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        try:
            async with asyncio.timeout_at(deadline + 5.0):
                return await check()
        except (AssertionError, httpx.TransportError, EtcdError) as complaint:
            if loop.time() > deadline:
                raise AssertionError(f"still so after {within:g} s: {complaint!r}") from complaint
        await asyncio.sleep(0.03)
