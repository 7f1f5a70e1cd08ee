"""kill -9 of any part while clients write: nothing that was acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from system.faults.agreement import agreed
from system.faults.clients import Load, clients_at_work
from system.faults.feed_watcher import watching
from system.faults.stack import Stack, running

CLIENTS = 8
SEED = int(os.environ.get("GLUON_SEED") or random.randrange(1_000_000))


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    print(f"to repeat this: GLUON_SEED={SEED}")
    async with running(tmp_path, bind_timeout=1.0, lease_ttl=2) as stack:
        yield stack


async def killed_and_started(stack: Stack, load: Load, role: str, writes: int) -> None:
    """Kill it at once; start it again after it was missed."""
    if role == "server":
        stack.server.kill()
        await load.is_refused()
        stack.server.start()
        await stack.server_ready()
    elif role == "etcd":
        stack.etcd_server.kill()
        await load.goes_on(writes)
        stack.etcd_server.start()
        await stack.etcd_server.ready()
    else:
        stack.shim.kill()
        await load.goes_on(writes)
        stack.shim.start()


@pytest.mark.parametrize("role", ["server", "etcd", "shim"])
async def test_a_killed_part_loses_and_repeats_nothing(stack: Stack, role: str) -> None:
    async with watching(stack.etcd_server.url, stack.keys) as feed:
        async with clients_at_work(stack, CLIENTS, SEED) as load:
            await load.goes_on(100)
            await killed_and_started(stack, load, role, 20)
            await load.goes_on(100)
        load.ledger.compare(await agreed(stack))
        print(
            f"{load.ledger.acknowledged} acknowledged, {load.ledger.in_doubt} in doubt, {feed.events} events"
        )


async def test_kills_at_random(stack: Stack) -> None:
    chance = random.Random(SEED)
    async with watching(stack.etcd_server.url, stack.keys):
        async with clients_at_work(stack, CLIENTS, SEED) as load:
            for _ in range(4):
                await load.goes_on(chance.randint(1, 80))
                role = chance.choice(["server", "etcd", "shim"])
                print(f"killing the {role} after {load.ledger.acknowledged} writes")
                await killed_and_started(stack, load, role, chance.randint(0, 15))
        load.ledger.compare(await agreed(stack))
