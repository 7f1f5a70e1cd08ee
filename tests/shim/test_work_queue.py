"""The queue of keys: each once, one worker a key, waits that newer state ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator
from typing import Any

import pytest

from gluon.shim.work_queue import FIRST_DELAY, LAST_DELAY, WorkQueue


def queue_of(ranks: dict[str, int] | None = None) -> WorkQueue[str]:
    return WorkQueue(lambda key: (ranks or {}).get(key, 0))


async def drained(queue: WorkQueue[str]) -> list[str]:
    """What comes without waiting."""
    found = []
    while True:
        try:
            async with asyncio.timeout(0.02):
                key = await queue.get()
        except TimeoutError:
            return found
        found.append(key)
        queue.done(key)


async def test_a_key_that_is_added_often_comes_once() -> None:
    queue = queue_of()
    for _ in range(5):
        queue.add("a")
    assert await drained(queue) == ["a"]


async def test_lower_ranks_come_first_and_urgent_keys_before_all() -> None:
    queue = queue_of({"port": 3, "service": 1, "binding": 2, "bind": 3})
    for key in ("port", "binding", "service"):
        queue.add(key)
    queue.add("bind", urgent=True)
    assert await drained(queue) == ["bind", "service", "binding", "port"]


async def test_a_key_that_becomes_urgent_overtakes() -> None:
    queue = queue_of({"late": 9})
    queue.add("late")
    queue.add("early")
    queue.add("late", urgent=True)
    assert await drained(queue) == ["late", "early"]


async def test_a_key_added_while_in_work_comes_again_and_never_to_two_workers() -> None:
    queue = queue_of()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert await drained(queue) == []
    queue.done(key)
    assert await drained(queue) == ["a"]


async def test_delays_double_from_5_ms_to_a_minute() -> None:
    queue = queue_of()
    delays = []
    for _ in range(20):
        queue.add("a") if not delays else None
        key = await queue.get() if not delays else "a"
        delays.append(queue.retry(key))
    assert FIRST_DELAY / 2 <= delays[0] <= FIRST_DELAY
    assert all(FIRST_DELAY * 2**n / 2 <= delay <= FIRST_DELAY * 2**n for n, delay in enumerate(delays[:13]))
    assert LAST_DELAY / 2 <= delays[-1] <= LAST_DELAY


async def test_newer_state_ends_the_wait_and_forgets_the_failures() -> None:
    queue = queue_of()
    queue.add("a")
    queue.retry(await queue.get(), 3600.0)
    queue.done("a")
    assert await drained(queue) == []
    queue.add("a")
    assert await queue.get() == "a"
    assert queue.retry("a") <= FIRST_DELAY


async def test_newer_state_that_came_during_the_attempt_ends_the_wait_before_it_begins() -> None:
    queue = queue_of()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.retry(key, 3600.0)
    queue.done(key)
    assert await drained(queue) == ["a"]


async def test_a_wait_that_is_over_brings_the_key_back() -> None:
    queue = queue_of()
    queue.add("a")
    queue.retry(await queue.get(), 0.01)
    queue.done("a")
    async with asyncio.timeout(5):
        assert await queue.get() == "a"


async def test_a_parked_key_comes_after_all_that_it_waits_for() -> None:
    queue = queue_of()
    for key in ("port", "service", "binding"):
        queue.add(key)
    assert await queue.get() == "port"
    queue.park("port", ["service", "binding"])
    queue.done("port")
    assert await drained(queue) == ["service", "binding", "port"]


async def test_a_parked_key_does_not_wait_for_one_that_failed() -> None:
    queue = queue_of()
    queue.add("port")
    queue.add("service")
    assert await queue.get() == "port"
    queue.park("port", ["service"])
    queue.done("port")
    assert await queue.get() == "service"
    queue.retry("service", 3600.0)
    queue.done("service")
    assert await drained(queue) == ["port"]


async def test_newer_state_unparks() -> None:
    queue = queue_of()
    queue.add("port")
    queue.add("service")
    assert await queue.get() == "port"
    queue.park("port", ["service"])
    queue.done("port")
    assert await queue.get() == "service"
    queue.add("port")
    assert await queue.get() == "port"


async def test_a_key_wakes_one_worker_only() -> None:
    queue, waits = queue_of(), 0

    class Counted:
        """What `get` gives, with a note of each time that it has to wait."""

        def __await__(self) -> Generator[Any, None, str]:
            nonlocal waits
            getting = queue.get()
            while True:
                try:
                    awaited = getting.send(None)
                except StopIteration as ended:
                    return str(ended.value)
                waits += 1
                yield awaited

    async def work() -> None:
        while True:
            queue.done(await Counted())

    workers = [asyncio.create_task(work()) for _ in range(50)]
    await asyncio.sleep(0)
    for number in range(50):
        queue.add(str(number))
        while queue.depths["ready"]:
            await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)
    # All of them at the beginning, and each one that had a key.
    assert waits == 100


async def test_a_closed_queue_hands_out_nothing_and_tells_when_nobody_works() -> None:
    queue = queue_of()
    queue.add("a")
    queue.add("b")
    key = await queue.get()
    queue.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await queue.idle()
    queue.done(key)
    await queue.idle()
    assert await drained(queue) == []


async def test_late_keys_come_after_all_others_in_order_of_their_ranks() -> None:
    queue = queue_of({"service": 1, "port": 3, "late service": 1, "late port": 3})
    for key in ("late port", "late service"):
        queue.add_late(key)
    for key in ("port", "service"):
        queue.add(key)
    assert await drained(queue) == ["service", "port", "late service", "late port"]


async def test_a_late_key_that_has_newer_state_is_late_no_longer() -> None:
    queue = queue_of()
    for key in ("a", "b", "c"):
        queue.add_late(key)
    queue.add("c")
    queue.add_late("c")
    assert await drained(queue) == ["c", "a", "b"]


async def test_what_a_live_key_waits_for_is_late_no_longer() -> None:
    queue = queue_of({"port": 3})
    for key in ("other", "service"):
        queue.add_late(key)
    queue.add("port")
    assert await queue.get() == "port"
    queue.park("port", ["service"])
    queue.done("port")
    assert await drained(queue) == ["service", "port", "other"]


@pytest.mark.parametrize("seed", range(30))
async def test_no_key_is_forgotten_whatever_happens(seed: int) -> None:
    """Workers that fail, wait and park at random: in the end every key had a turn after its last addition."""
    chance = random.Random(seed)
    keys = [f"k{n}" for n in range(8)]
    queue = queue_of({key: chance.randrange(3) for key in keys})
    added = dict.fromkeys(keys, 0)
    seen = dict.fromkeys(keys, 0)
    in_work: set[str] = set()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in in_work
            in_work.add(key)
            version = added[key]
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            choice = chance.random()
            if choice < 0.2:
                queue.retry(key, chance.choice((0.0, 0.002)))
            elif choice < 0.4:
                # As the shim does it: only for keys of lower rank, so that nobody waits in a circle.
                queue.park(key, [other for other in keys if other < key])
            else:
                seen[key] = max(seen[key], version)
            in_work.remove(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for _ in range(200):
        key = chance.choice(keys)
        added[key] += 1
        if chance.random() < 0.3:
            queue.add_late(key)
        else:
            queue.add(key, urgent=chance.random() < 0.1)
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while len(queue):
            await asyncio.sleep(0.001)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert seen == added
