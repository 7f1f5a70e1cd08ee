from __future__ import annotations

import asyncio

import pytest

from gluon.etcd.stopping import run_until


async def test_work_that_ends_is_not_waited_for_any_longer() -> None:
    async with asyncio.timeout(1):
        await run_until(asyncio.Event(), asyncio.sleep(0))


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await run_until(asyncio.Event(), work())


async def test_stopping_lets_the_work_clean_up_first() -> None:
    stop, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            stop.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    await run_until(stop, work())

    assert cleaned.is_set()


async def test_cancelling_cancels_the_work() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    running = asyncio.ensure_future(run_until(asyncio.Event(), work()))
    await started.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()
