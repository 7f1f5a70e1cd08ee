"""Servers restarted one after the other, while clients work that retry a connect, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence

import httpx

from system.faults.stack import DEVICE, SERVICE, port
from system.servers.cluster import Shared, Wish, cluster

BIND = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}


class Client:
    """Works until told to stop; where nobody listens it goes to the next server."""

    def __init__(self, urls: Sequence[str], number: int) -> None:
        self.answers: Counter[int] = Counter()
        self.connects_refused = 0
        self.unbound: list[str] = []
        self._urls = itertools.cycle(urls[number % len(urls) :] + urls[: number % len(urls)])
        self._url = next(self._urls)
        self._http = httpx.AsyncClient(timeout=30)

    async def run(self, stop: asyncio.Event) -> None:
        async with self._http:
            while not stop.is_set():
                created = await self._ask("POST", "ports", port("one"))
                path = f"ports/{created['id']}"
                bound = await self._ask("PUT", path, BIND)
                if bound["status"] != "ACTIVE":
                    self.unbound.append(bound["id"])
                await self._ask("GET", path)

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, str]:
        for _ in range(400):
            try:
                url = f"{self._url}/proton/{SERVICE}/v1.0/{path}"
                answer = await self._http.request(method, url, json=body)
            except httpx.ConnectError:
                self.connects_refused += 1
                self._url = next(self._urls)
                await asyncio.sleep(0.05)
                continue
            self.answers[answer.status_code] += 1
            assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
            return dict(answer.json())
        raise AssertionError("no server listens")


async def test_no_request_fails_while_servers_are_restarted_one_after_the_other(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2), Wish(), shims=("shim",)) as site:
        clients = [Client([server.url for server in site.servers], number) for number in range(6)]
        stop = asyncio.Event()
        working = [asyncio.create_task(client.run(stop)) for client in clients]
        try:
            for server in site.servers:
                await asyncio.sleep(0.5)
                assert await asyncio.to_thread(server.stop) == 0
                server.start()
                await site.ready(server)
        finally:
            stop.set()
            await asyncio.gather(*working)
        answers = sum((client.answers for client in clients), Counter[int]())
        refused = sum(client.connects_refused for client in clients)
        print(f"{answers.total()} requests answered, {refused} connects tried again elsewhere")
        assert set(answers) == {200, 201}
        assert refused, "the clients have noticed no restart"
        assert not [port_id for client in clients for port_id in client.unbound]
        await site.says_what_the_database_says()
