"""One run: clients write, things go wrong, and afterwards everybody has to say the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from system.chaos.contention import contending
from system.chaos.plan import Fault, mishaps
from system.chaos.service_manager import ServiceManager
from system.chaos.stack import ChaosStack, everything
from system.chaos.trouble import Trouble
from system.chaos.watch_witness import WatchWitness
from system.chaos.witnesses import AnswerWitness
from system.faults.agreement import agreed
from system.faults.clients import clients_at_work
from system.faults.eventually import eventually
from system.faults.feed_watcher import watching
from system.faults.stack import SERVICE

CLIENTS = 6
WEIGHTS = {"server-1": 3, "server-2": 3, "postgresql": 2, "galera-1": 2, "galera-2": 2}
PATIENCE = 60.0
"""Seconds after the last mishap in which all have to agree."""


@dataclass(frozen=True)
class Survived:
    """What a run went through."""

    seed: int
    seconds: float
    mishaps: dict[tuple[Fault, str], int]
    restarts: int
    acknowledged: int
    contended: int
    in_doubt: int
    unanswered: int
    unavailable: int
    events: int
    answers: int
    watched: int
    resumed: int
    agreed_after: float

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.seconds:.0f} s, {sum(self.mishaps.values())} mishaps",
            f"  {self.acknowledged} writes acknowledged, {self.in_doubt} in doubt; requests unanswered: "
            f"{self.unanswered}, answered with 503: {self.unavailable}",
            f"  {self.restarts} times a program could not start, and was started again",
            f"  {self.contended} writes of objects that others wrote at the same time",
            f"  {self.events} changes and {self.answers} answers seen in etcd",
            f"  {self.watched} events seen over HTTP, by watches that resumed {self.resumed} times",
            f"  all agreed {self.agreed_after:.1f} s after the last mishap",
        ]
        for fault in Fault:
            parts = [f"{part} {n}x" for (what, part), n in sorted(self.mishaps.items()) if what is fault]
            if parts:
                lines.append(f"  {fault.value}: {', '.join(parts)}")
        return "\n".join(lines)


async def survive(
    folder: Path, seed: int, seconds: float, report: Callable[[str], None], database: str = "postgresql"
) -> Survived:
    """Raises AssertionError with what was lost, doubled, or seen to go back."""
    async with everything(folder, database, report) as stack:
        plan = mishaps(seed, stack.possible(), WEIGHTS)
        trouble = Trouble(stack, plan, report)
        async with (
            watching(stack.cluster.urls, stack.keys) as feed,
            _witness(stack) as witness,
            _watchers(stack) as watchers,
            _managed(stack, report) as manager,
        ):
            async with clients_at_work(stack, CLIENTS, seed) as load:
                async with contending(stack, load.ledger, seed) as contention:
                    await load.goes_on(50)
                    start = time.monotonic()
                    await trouble.run(seconds)
                    lasted = time.monotonic() - start
                    await load.goes_on(50, within=PATIENCE)
            report(f"no more mishaps; {load.ledger.acknowledged} writes were acknowledged")
            healed = time.monotonic()
            collections = await agreed(stack, within=PATIENCE)
            load.ledger.compare(collections)
            contention.compare(collections["vpns"])
            await _watchers_know(watchers, collections["ports"])
            agreed_after = time.monotonic() - healed
            restarts = manager.restarts.total()
        return Survived(
            seed,
            lasted,
            dict(trouble.survived),
            restarts,
            load.ledger.acknowledged,
            contention.acknowledged,
            load.ledger.in_doubt,
            load.ledger.unanswered,
            load.ledger.unavailable,
            feed.events,
            witness.answers,
            sum(watcher.events for watcher in watchers),
            sum(watcher.resumed for watcher in watchers),
            agreed_after,
        )


@asynccontextmanager
async def _witness(stack: ChaosStack) -> AsyncIterator[AnswerWitness]:
    """Watch all answers in the block; afterwards no bind may have two winners."""
    witness = AnswerWitness(stack.etcd, stack.keys)
    task = asyncio.create_task(witness.run())
    try:
        yield witness
        assert not task.done(), f"the witness has failed: {task.exception()!r}"
        assert not witness.complaints, witness.complaints
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def _managed(stack: ChaosStack, report: Callable[[str], None]) -> AsyncIterator[ServiceManager]:
    """Have programs started again in the block that could not start; none may have ended in another way."""
    manager = ServiceManager(stack.programs(), report)
    task = asyncio.create_task(manager.run())
    try:
        yield manager
    finally:
        task.cancel()
        await asyncio.wait([task])
        # What it has found explains whatever else went wrong.
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@asynccontextmanager
async def _watchers(stack: ChaosStack) -> AsyncIterator[list[WatchWitness]]:
    """One at each server, watching all ports in the block; afterwards none may have seen one go back."""
    watchers = [WatchWitness(f"{url}/proton/{SERVICE}/v1.0/ports") for url in stack.urls]
    tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
    try:
        yield watchers
        for watcher, task in zip(watchers, tasks, strict=True):
            assert not task.done(), f"a watcher has failed: {task.exception()!r}"
            assert not watcher.complaints, watcher.complaints
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _watchers_know(watchers: Sequence[WatchWitness], ports: Sequence[dict[str, Any]]) -> None:
    """Return when each of them has seen the ports as they are."""
    expected = {port["id"]: port for port in ports}

    async def check() -> None:
        for watcher in watchers:
            missing, further = (
                expected.keys() - watcher.objects.keys(),
                watcher.objects.keys() - expected.keys(),
            )
            assert not missing and not further, f"a watcher lacks {missing}, and has {further}"
            differing = {key for key in expected if watcher.objects[key] != expected[key]}
            assert not differing, f"a watcher has others of {differing}"

    await eventually(check, PATIENCE)
