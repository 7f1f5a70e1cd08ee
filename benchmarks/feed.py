"""From a commit to the key in etcd, on each database: the relay alone, beside a bare put."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.proton.relay import Relay
from gluon.store.database import Transaction, open_database
from gluon.store.outbox import Outbox
from gluon.store.schema import Schema

from .databases import BenchDatabase, databases
from .floors import etcd_batched_rate, etcd_put_latency
from .http_load import percentile
from .results import Figure, Results
from .stack import port_body, running_stack

COMMITS = 300
BACKLOG = 20_000


async def measure(results: Results, folder: Path) -> None:
    for database in databases(folder):
        with running_stack() as stack:
            floor_p50, floor_p99 = await etcd_put_latency(stack.etcd)
            latencies = await commit_to_etcd(stack.etcd, database)
            drained = await drain_rate(stack.etcd, database)
            again_p50, _ = await etcd_put_latency(stack.etcd)
            batched = await etcd_batched_rate(stack.etcd)
        floor = (floor_p50 + again_p50) / 2 * 1e3
        p50, p99 = percentile(latencies, 0.5) * 1e3, percentile(latencies, 0.99) * 1e3
        name, put = f"{database.name}: commit to etcd", "bare put to its event"
        results.add(Figure(f"{name}, p50", p50, "ms", floor, put, "<= 2 x the floor", p50 <= 2 * floor))
        results.add(Figure(f"{name}, p99", p99, "ms", floor_p99 * 1e3, put, "<= 50 ms", p99 <= 50))
        results.add(
            Figure(
                f"{database.name}: drain of {BACKLOG} keys",
                drained,
                "/s",
                batched,
                "puts in transactions of 127, bare client",
                ">= 50 % of the floor",
                drained >= 0.5 * batched,
            )
        )


async def commit_to_etcd(endpoint: str, database: BenchDatabase) -> list[float]:
    """Seconds from a commit's return to the event of its key."""
    with database.url() as url:
        async with _Feed(endpoint, url, "/bench-feed") as feed:
            latencies = []
            for number in range(COMMITS):
                arrived = feed.expect(number)
                await feed.commit([number])
                start = time.perf_counter()
                latencies.append(max(0.0, await asyncio.wait_for(arrived, 10) - start))
            return latencies


async def drain_rate(endpoint: str, database: BenchDatabase) -> float:
    """Keys a second that a relay brings to etcd from an outbox that has filled up."""
    with database.url() as url:
        async with _Feed(endpoint, url, "/bench-drain", relay=False) as feed:
            for first in range(0, BACKLOG, 100):
                await feed.commit(range(first, first + 100))
            arrived = feed.expect(BACKLOG - 1)
            start = time.perf_counter()
            feed.start_relay()
            return BACKLOG / (await asyncio.wait_for(arrived, 120) - start)


class _Feed:
    """A database, its relay, and a watcher, all in this process."""

    def __init__(self, endpoint: str, url: str, prefix: str, relay: bool = True) -> None:
        self._etcd, self._watching = Etcd([endpoint]), Etcd([endpoint])
        self._database = open_database(url)
        self._outbox = Outbox(self._database.dialect)
        self._prefix = prefix
        self._relay = Relay(self._database, self._outbox, self._etcd, Keys(prefix))
        self._with_relay = relay
        self._arrivals: dict[str, asyncio.Future[float]] = {}
        self._value = json.dumps(port_body(1)).encode()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> _Feed:
        await self._database.start()
        await Schema(self._database).prepare()
        revision = (await self._watching.list(self._prefix)).revision
        self._tasks.append(asyncio.create_task(self._watch(revision + 1)))
        if self._with_relay:
            self.start_relay()
            arrived = self.expect(-1)
            await self.commit([-1])
            await asyncio.wait_for(arrived, 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._relay.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watching.delete_prefix(self._prefix)
        await self._database.close()
        await self._etcd.close()
        await self._watching.close()

    def start_relay(self) -> None:
        self._tasks.append(asyncio.create_task(self._relay.run()))

    def expect(self, number: int) -> asyncio.Future[float]:
        """When the key of that number is seen."""
        future = asyncio.get_running_loop().create_future()
        self._arrivals[f"{self._prefix}/key/{number}"] = future
        return future

    async def commit(self, numbers: list[int] | range) -> None:
        entries = [(f"{self._prefix}/key/{number}", self._value) for number in numbers]

        async def work(tx: Transaction) -> None:
            await self._outbox.add(tx, entries)

        await self._database.write(work)

    async def _watch(self, revision: int) -> None:
        async for batch in self._watching.watch(f"{self._prefix}/key/", revision):
            for event in batch.events:
                future = self._arrivals.pop(event.key, None)
                if future is not None:
                    future.set_result(time.perf_counter())
