"""How often a controller is called: evenly, binds first, without a flood after a pause. Time is virtual."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from gluon.shim.rate_limit import RateLimit


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop in which nothing is waited for: its clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if not self._ready and timers:  # type: ignore[attr-defined]
            self.now = max(self.now, min(timers))
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(work)


async def begins(limit: RateLimit, count: int) -> list[float]:
    loop, found = asyncio.get_running_loop(), []

    async def call() -> None:
        await limit.turn()
        found.append(loop.time())

    await asyncio.gather(*(call() for _ in range(count)))
    return found


def test_no_second_has_more_calls_than_it_may_but_for_the_burst() -> None:
    async def work() -> list[float]:
        return await begins(RateLimit(100), 1000)

    found = run(work())
    assert found == sorted(found)
    assert 9.8 < found[-1] < 10.0
    assert sum(1 for when in found if when == 0.0) == 10
    assert max(sum(1 for w in found if start <= w < start + 1) for start in found) <= 110


def test_a_pause_is_not_followed_by_a_flood() -> None:
    async def work() -> list[float]:
        limit = RateLimit(10)
        await begins(limit, 5)
        await asyncio.sleep(3600)
        began = asyncio.get_running_loop().time()
        return [when - began for when in await begins(limit, 11)]

    assert 0.9 < run(work())[-1] < 1.1


def test_urgent_calls_overtake_and_cancelled_ones_take_no_time() -> None:
    async def work() -> tuple[list[str], float]:
        limit, order = RateLimit(1), []

        async def call(name: str, urgent: bool) -> None:
            await limit.turn(urgent=urgent)
            order.append(name)

        ordinary = [asyncio.create_task(call(f"modify {n}", False)) for n in range(4)]
        await asyncio.sleep(0.5)
        bind = asyncio.create_task(call("bind", True))
        ordinary[1].cancel()
        await asyncio.gather(bind, *ordinary, return_exceptions=True)
        return order, asyncio.get_running_loop().time()

    order, ended = run(work())
    assert order == ["modify 0", "bind", "modify 2", "modify 3"]
    assert ended == 3.0


def test_without_a_rate_nothing_waits() -> None:
    async def work() -> list[float]:
        return await begins(RateLimit(0), 1000)

    assert set(run(work())) == {0.0}
