"""Clients that write all the time and remember what they were told, for tests that kill what they speak to.

An acknowledged write must be in the database afterwards. One whose answer never came may be there or not, but
whole: the ledger keeps both, and the client leaves that object alone from then on.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from system.faults.eventually import eventually
from system.faults.stack import DEVICE, TENANT, Stack, port

State = dict[str, Any] | None
"""What was written of an object; None when it is not there."""

HOSTS = ("compute-1", "compute-2", "compute-3")
_PAUSE = 0.05
"""Seconds until a client whose server doesn't answer tries something else."""


@dataclass
class Thing:
    """An object under a label of its own, which is in one of these states."""

    plural: str
    label: str
    states: list[State]
    key: str = ""
    bindings: list[Thing] = field(default_factory=list)
    """Of a port: what goes with it."""

    @property
    def state(self) -> dict[str, Any]:
        (state,) = self.states
        assert state is not None
        return state


class Ledger:
    """What clients have written, by collection and label (a name, or an address that nothing else has)."""

    def __init__(self) -> None:
        self.things: dict[tuple[str, str], Thing] = {}
        self.all_or_none: list[list[Thing]] = []
        """Things that one request was to create, or to delete, and whose answer never came."""
        self.acknowledged = 0
        self.in_doubt = 0
        self.unanswered = 0
        self.unavailable = 0
        self.refused: list[str] = []
        """Answers that no client had asked for."""

    def enter(self, plural: str, label: str, *states: State, key: str = "") -> Thing:
        thing = Thing(plural, label, list(states), key)
        self.things[plural, label] = thing
        return thing

    def compare(self, collections: dict[str, list[dict[str, Any]]]) -> None:
        """That the database has every acknowledged write, nothing twice, and nothing in halves."""
        assert not self.refused, self.refused[:5]
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for plural, label in (("ports", "name"), ("vpns", "name"), ("vpnbindings", "ipaddress")):
            for document in collections[plural]:
                at = plural, document[label]
                assert at not in found, f"twice: {found[at]} and {document}"
                assert at in self.things, f"nobody has written {document}"
                found[at] = document
        for at, thing in self.things.items():
            document = found.get(at)
            fitting = any(_fits(state, document) for state in thing.states)
            assert fitting, f"{at} is {document}, and was acknowledged as {thing.states}"
        for things in self.all_or_none:
            there = {thing.label: (thing.plural, thing.label) in found for thing in things}
            assert len(set(there.values())) == 1, f"of one request, some: {there}"
        ports = sorted(p["id"] for p in collections["ports"])
        interfaces = sorted(i["id"] for i in collections["interfaces"])
        assert ports == interfaces, "ports and their default interfaces differ"


def _fits(state: State, document: dict[str, Any] | None) -> bool:
    if state is None or document is None:
        return state is document
    return all(document[name] == value for name, value in state.items())


class Client:
    """Writes one thing after the other, as its random numbers will, until told to stop."""

    def __init__(self, name: str, stack: Stack, ledger: Ledger, seed: int) -> None:
        self._name = name
        self._stack = stack
        self._ledger = ledger
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._ports: list[Thing] = []
        self._vpns: list[Thing] = []
        self.stopping = False

    async def run(self) -> None:
        work: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (4, self._create_port),
            (1, self._create_vpns),
            (2, self._create_binding),
            (3, self._update_port),
            (4, self._bind_port),
            (1, self._unbind_port),
            (2, self._delete_port),
        ]
        weights = [weight for weight, _ in work]
        async with httpx.AsyncClient(timeout=15) as http:
            self._http = http
            while not self.stopping:
                [(_, act)] = self._random.choices(work, weights)
                await act()

    async def _create_port(self) -> None:
        name = self._label("port")
        body = port(name, mtu=self._mtu())
        # What a client says of the status holds until the first bind only.
        kept = {n: v for n, v in body.items() if n != "status"}
        answer = await self._ask("POST", "ports", 201, body)
        if answer is not None:
            if answer:
                self._ports.append(self._ledger.enter("ports", name, kept, key=answer["id"]))
            else:
                self._ledger.enter("ports", name, None, kept)

    async def _create_vpns(self) -> None:
        bodies = [{"tenant_id": TENANT, "name": self._label("vpn")} for _ in range(3)]
        answer = await self._ask("POST", "vpns", 201, {"vpns": bodies})
        if answer:
            self._vpns += [self._ledger.enter("vpns", v["name"], v, key=v["id"]) for v in answer["vpns"]]
        elif answer is not None:
            doubtful = [self._ledger.enter("vpns", str(b["name"]), None, b) for b in bodies]
            self._ledger.all_or_none.append(doubtful)

    async def _create_binding(self) -> None:
        ports = [p for p in self._ports if not p.bindings]
        if not ports or not self._vpns:
            return
        target, vpn = self._random.choice(ports), self._random.choice(self._vpns)
        number, ours = next(self._numbers), int(self._name)
        body = {
            "tenant_id": TENANT,
            "interface_id": target.key,
            "service_id": vpn.key,
            "ipaddress": f"10.{ours}.{number >> 8}.{number & 255}",
        }
        answer = await self._ask("POST", "vpnbindings", 201, body)
        if answer is None:
            return
        thing = self._ledger.enter("vpnbindings", body["ipaddress"], body, *([] if answer else [None]))
        target.bindings.append(thing)
        if not answer:
            self._ports.remove(target)

    async def _update_port(self) -> None:
        if (target := self._some_port()) is not None:
            number = next(self._numbers)
            mac = f"c8:2a:14:00:{number >> 8 & 255:02x}:{number & 255:02x}"
            await self._change(
                target, {"mtu": self._mtu(), "mac_address": mac, "profile": f'{{"n":{number}}}'}
            )

    async def _bind_port(self) -> None:
        if (target := self._some_port()) is not None:
            host = self._random.choice(HOSTS)
            await self._change(target, {"host_id": host, "device_id": DEVICE})

    async def _unbind_port(self) -> None:
        if (target := self._some_port()) is not None:
            await self._change(target, {"host_id": None})

    async def _delete_port(self) -> None:
        target = self._some_port()
        if target is None:
            return
        answer = await self._ask("DELETE", f"ports/{target.key}?cascade=true", 204)
        if answer is None:
            return
        self._ports.remove(target)
        things = [target, *target.bindings]
        for thing in things:
            thing.states = [None] if answer else [thing.state, None]
        if not answer:
            self._ledger.all_or_none.append(things)

    async def _change(self, target: Thing, changes: dict[str, Any]) -> None:
        answer = await self._ask("PUT", f"ports/{target.key}", 200, changes)
        if answer is None:
            return
        changed = target.state | changes
        if answer:
            target.states = [changed]
        else:
            target.states = [target.state, changed]
            self._ports.remove(target)

    async def _ask(self, method: str, path: str, expect: int, body: Any = None) -> dict[str, Any] | None:
        """The answer; empty when it never came; None when the request has had no effect for sure."""
        try:
            answer = await self._http.request(method, self._stack.base_url() + path, json=body)
        except httpx.ConnectError:
            self._ledger.unanswered += 1
            await asyncio.sleep(_PAUSE)
            return None
        except httpx.TransportError:
            self._ledger.unanswered += 1
            self._ledger.in_doubt += 1
            return {}
        if answer.status_code == 503:
            self._ledger.unavailable += 1
            await asyncio.sleep(_PAUSE)
            if "nothing was changed" in answer.json()["detail"]:
                return None
            # Rarely nobody knows whether the write was committed.
            self._ledger.in_doubt += 1
            return {}
        if answer.status_code != expect:
            self._ledger.refused.append(f"{method} {path} {body}: {answer.status_code} {answer.text}")
            self.stopping = True
            return None
        self._ledger.acknowledged += 1
        return dict(answer.json()) if answer.content else {"deleted": True}

    def _some_port(self) -> Thing | None:
        return self._random.choice(self._ports) if self._ports else None

    def _label(self, kind: str) -> str:
        return f"{kind}-{self._name}-{next(self._numbers)}"

    def _mtu(self) -> int:
        return self._random.randint(1280, 9000)


class Load:
    """Several clients at work."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def goes_on(self, acknowledged: int, within: float = 30.0) -> None:
        """Return when so many more writes were acknowledged."""
        goal = self.ledger.acknowledged + acknowledged

        async def check() -> None:
            if not self.ledger.refused:
                assert self.ledger.acknowledged >= goal, f"{self.ledger.acknowledged} of {goal} writes"

        await eventually(check, within)

    async def is_refused(self) -> None:
        """Return when a request has failed for want of a server."""
        before = self.ledger.unanswered

        async def check() -> None:
            assert self.ledger.unanswered > before, "all requests are still answered"

        await eventually(check)


@asynccontextmanager
async def clients_at_work(stack: Stack, count: int, seed: int) -> AsyncIterator[Load]:
    """Clients that write until the block ends; they have all had their last answer then."""
    ledger = Ledger()
    clients = [Client(str(number), stack, ledger, seed + number) for number in range(1, count + 1)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield Load(ledger)
        for client in clients:
            client.stopping = True
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
