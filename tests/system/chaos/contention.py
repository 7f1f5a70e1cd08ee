"""Clients that change the same few objects at the same time, at whichever server."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from system.chaos.stack import ChaosStack
from system.faults.clients import Ledger
from system.faults.stack import TENANT

SHARED, CONTENDERS = 2, 4
_PAUSE = 0.05


class Contention:
    """What was acknowledged for each shared object: at which revision it had which value."""

    def __init__(self, stack: ChaosStack, ledger: Ledger, seed: int) -> None:
        self.acknowledged = 0
        self._stack = stack
        self._ledger = ledger
        self._seed = seed
        self._values: dict[str, dict[int, str]] = {}
        self._complaints: list[str] = []
        self._stopping = False

    async def prepare(self) -> None:
        """Make the objects."""
        for number in range(SHARED):
            body = {"tenant_id": TENANT, "name": f"shared-{number}"}
            vpn = await self._stack.request("POST", "vpns", 201, body)
            self._ledger.enter("vpns", vpn["name"], body, key=vpn["id"])
            self._values[vpn["id"]] = {vpn["revision_number"]: ""}

    async def contend(self, name: str) -> None:
        """Change them one after the other, until told to stop."""
        chance, numbers = random.Random(f"{self._seed} {name}"), itertools.count(1)
        async with httpx.AsyncClient(timeout=15) as http:
            while not self._stopping:
                key, value = chance.choice(list(self._values)), f"{name}: {next(numbers)}"
                url = f"{self._stack.base_url()}vpns/{key}"
                try:
                    answer = await http.put(url, json={"description": value})
                except httpx.TransportError:
                    await asyncio.sleep(_PAUSE)
                    continue
                if answer.status_code == 200:
                    self._acknowledge(key, value, answer.json())
                elif answer.status_code == 503:
                    await asyncio.sleep(_PAUSE)
                else:
                    self._complaints.append(f"{answer.status_code} {answer.text}")
                    return

    def stop(self) -> None:
        self._stopping = True

    def compare(self, vpns: list[dict[str, Any]]) -> None:
        """That no change was lost: no two have one revision, and none is later than what is there."""
        assert not self._complaints, self._complaints[:5]
        found = {vpn["id"]: vpn for vpn in vpns}
        for key, values in self._values.items():
            last, now = max(values), found[key]
            assert now["revision_number"] >= last, f"{now}, and {values[last]!r} was acknowledged at {last}"
            expected = values.get(now["revision_number"])
            assert expected is None or (now["description"] or "") == expected, f"{now}, not {expected!r}"

    def _acknowledge(self, key: str, value: str, document: dict[str, Any]) -> None:
        revision = document["revision_number"]
        if document["description"] != value:
            self._complaints.append(f"{value!r} was acknowledged as {document}")
        if revision in self._values[key]:
            self._complaints.append(
                f"{self._values[key][revision]!r} and {value!r}: both at {revision} of {key}"
            )
        self._values[key][revision] = value
        self.acknowledged += 1


@asynccontextmanager
async def contending(stack: ChaosStack, ledger: Ledger, seed: int) -> AsyncIterator[Contention]:
    """Contend until the block ends; all have had their last answer then."""
    contention = Contention(stack, ledger, seed)
    await contention.prepare()
    tasks = [asyncio.create_task(contention.contend(str(number))) for number in range(CONTENDERS)]
    try:
        yield contention
        contention.stop()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
