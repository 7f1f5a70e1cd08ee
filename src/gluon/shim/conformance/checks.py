"""The checks, each of them a small life of a shim server with the backend.

A check raises Failed or Unsettled when the backend doesn't keep what docs/shim.md asks, and Skipped when it
has nothing to check.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gluon.model.model import Role
from gluon.shim.backend import Backend
from gluon.shim.conformance.feed import Feed, Name, Unsettled
from gluon.shim.conformance.watched import Observations, WatchedExtensions
from gluon.shim.server import ShimServer
from gluon.shim.settings import ShimSettings

_MANY = 20
_LONGEST_BLOCK = 0.5
"""Seconds that the event loop may be held up by a coroutine."""


class Failed(Exception):
    """What the backend did, and shouldn't have."""


class Skipped(Exception):
    """Why there is nothing to check."""


@dataclass
class Bench:
    """What a check works with: `feed` writes objects, and `shim` runs the backend meanwhile."""

    settings: ShimSettings
    extensions: WatchedExtensions
    feed: Feed
    seen: Observations
    patience: float

    @asynccontextmanager
    async def shim(self) -> AsyncIterator[Any]:
        """A shim server with a fresh backend, serving; the backend."""
        server = ShimServer(self.settings, self.extensions)
        running = asyncio.create_task(server.run())
        try:
            deadline = asyncio.get_running_loop().time() + self.patience
            while (shim := server.service(self.feed.model.service)) is None or not shim.started.is_set():
                if running.done():
                    await running
                if asyncio.get_running_loop().time() > deadline:
                    raise Failed(self.seen.trouble() or f"it doesn't start within {self.patience:g} s")
                await asyncio.sleep(0.02)
            yield self.seen.backends[-1]
        finally:
            server.stop()
            await running

    async def settled(self) -> None:
        """All is applied, and nothing went wrong on the way."""
        await self.feed.settled(self.seen.trouble)
        self.no_trouble()

    def no_trouble(self) -> None:
        """Nothing went wrong."""
        if (trouble := self.seen.trouble()) is not None:
            raise Failed(trouble)

    async def line(self) -> tuple[Name, Name, Name, Name]:
        """A service, a port, its interface, and their binding."""
        service, port = await self.feed.create(Role.SERVICE), await self.feed.create(Role.PORT)
        interface = await self.feed.create(Role.INTERFACE, port_id=port[1], id=port[1])
        references = {"interface_id": interface[1], "service_id": service[1]}
        return service, port, interface, await self.feed.create(Role.SERVICE_BINDING, **references)


async def check_lifecycle(bench: Bench) -> None:
    """Each object is created, changed, bound, unbound and deleted."""
    async with bench.shim() as backend:
        service, port, interface, binding = await bench.line()
        await bench.settled()
        if _has(backend, "bind_port"):
            await bench.feed.bind(port)
            await _answer(bench, port)
            await bench.settled()
        for name in (service, port, interface, binding):
            await bench.feed.change(name, name="changed")
        await bench.settled()
        await bench.feed.unbind(port)
        await bench.settled()
        await bench.feed.delete(binding, interface, port, service)
        await bench.settled()
        await _gone(bench, (service, port, interface, binding))


async def check_ordering(bench: Bench) -> None:
    """Objects come and go in each order in which they may, one by one and all at once."""
    feed = bench.feed
    async with bench.shim():
        port = await feed.create(Role.PORT)
        await feed.bind(port)
        await bench.settled()
        interface = await feed.create(Role.INTERFACE, port_id=port[1], id=port[1])
        await bench.settled()
        service = await feed.create(Role.SERVICE)
        await bench.settled()
        references = {"interface_id": interface[1], "service_id": service[1]}
        binding = await feed.create(Role.SERVICE_BINDING, **references)
        await bench.settled()
        await feed.delete(binding)
        await bench.settled()
        await feed.delete(service)
        await bench.settled()
        await feed.delete(interface, port)
        await bench.settled()
        lines = [await bench.line() for _ in range(_MANY)]
        for line in lines:
            await feed.bind(line[1])
        await bench.settled()
        for service, port, interface, binding in lines:
            await feed.delete(service, port, interface, binding)
        await bench.settled()
        await _gone(bench, [name for line in lines for name in line])


async def check_idempotence(bench: Bench) -> None:
    """Each callback is called twice with the same object."""
    bench.seen.twice = True
    await _life(bench)


async def check_retries(bench: Bench) -> None:
    """Each callback succeeds, its answer is lost, and it is called again, some with newer state."""
    bench.seen.lose = True
    await _life(bench)


async def check_restart(bench: Bench) -> None:
    """The shim server is away while things change, and comes back with a backend that knows nothing."""
    feed = bench.feed
    async with bench.shim():
        lines = [await bench.line() for _ in range(3)]
        for line in lines:
            await feed.bind(line[1])
        await bench.settled()
        held = await _held(bench)
    calls = len(bench.seen.calls)
    async with bench.shim() as backend:
        await bench.settled()
        told = [call for call in bench.seen.calls[calls:] if call[0] not in ("start", "reconcile")]
        if told and not getattr(backend, "replay", False):
            raise Failed(f"{told[0][0]} was called again, though nothing had changed")
    await feed.change(lines[0][0], name="changed")
    await feed.bind(lines[0][1], "host-2")
    await feed.unbind(lines[1][1])
    service, port, interface, binding = lines[2]
    await feed.delete(binding, interface, port, service)
    async with bench.shim():
        await bench.settled()
        await _gone(bench, lines[2])
        await _kept(bench, lines[0], held)
        for service, port, interface, binding in lines[:2]:
            await feed.delete(binding, interface, port, service)
        await bench.settled()


async def check_strays(bench: Bench) -> None:
    """The controller has what nobody knows of any longer: `reconcile` removes it, and nothing else."""
    feed = bench.feed
    async with bench.shim() as backend:
        if not _has(backend, "reconcile"):
            raise Skipped("the backend has no reconcile")
        kept, strays = await bench.line(), await bench.line()
        await feed.bind(kept[1])
        await feed.bind(strays[1])
        await bench.settled()
        held = await _held(bench)
    await feed.delete(*reversed(strays))
    for name in strays:
        await feed.forget(name, bench.settings.name)
    async with bench.shim():
        await bench.settled()
        # A backend may give a stray some time, in which its object may be back.
        await _gone(bench, strays, within=bench.patience)
        await _kept(bench, kept, held)
        await feed.delete(*reversed(kept))
        await bench.settled()


async def check_hanging(bench: Bench) -> None:
    """Callbacks return in time, and coroutines leave the event loop to others."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    async with bench.shim():
        beating = asyncio.create_task(beat())
        try:
            await _life_of_lines(bench)
        finally:
            beating.cancel()
            await asyncio.wait((beating,))
    if longest > _LONGEST_BLOCK:
        raise Failed(f"the event loop stood still for {longest:.2g} s: a coroutine blocks")


CHECKS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "lifecycle": check_lifecycle,
    "ordering": check_ordering,
    "idempotence": check_idempotence,
    "retries": check_retries,
    "restart": check_restart,
    "strays": check_strays,
    "hanging": check_hanging,
}


async def _life(bench: Bench) -> None:
    async with bench.shim():
        await _life_of_lines(bench)


async def _life_of_lines(bench: Bench) -> None:
    feed = bench.feed
    lines = [await bench.line() for _ in range(2)]
    for line in lines:
        await feed.bind(line[1])
        await feed.change(line[0], name="newer")
    await bench.settled()
    await feed.unbind(lines[0][1])
    await bench.settled()
    for service, port, interface, binding in lines:
        await feed.delete(binding, interface, port, service)
    await bench.settled()
    await _gone(bench, [name for line in lines for name in line])


async def _answer(bench: Bench, port: Name) -> dict[str, Any]:
    try:
        return await bench.feed.answered(port, bench.seen.trouble)
    except Unsettled as error:
        raise Failed(bench.seen.trouble() or str(error)) from error


async def _held(bench: Bench) -> frozenset[str]:
    """The keys of what the controller has; none where the backend can't tell."""
    ask = getattr(bench.seen.backends[-1], "held_keys", None)
    if ask is None:
        return frozenset()
    return frozenset(await ask() if inspect.iscoroutinefunction(ask) else await asyncio.to_thread(ask))


async def _gone(bench: Bench, names: Iterable[Name], *, within: float = 0.0) -> None:
    loop = asyncio.get_running_loop()
    deadline, gone = loop.time() + within, tuple(names)
    while True:
        held = await _held(bench)
        left = [object_name for object_name, key in gone if key in held]
        if not left:
            return
        if loop.time() >= deadline:
            raise Failed(f"the controller still has a {left[0]} that is gone")
        await asyncio.sleep(0.1)


async def _kept(bench: Bench, names: Iterable[Name], before: frozenset[str]) -> None:
    """What the controller had of these it has still: nobody has wished for less."""
    held = await _held(bench)
    for object_name, key in names:
        if key in before and key not in held:
            raise Failed(f"the controller has lost a {object_name} that should be there")


def _has(backend: Any, name: str) -> bool:
    found = getattr(type(backend), name, None)
    return found is not None and found is not getattr(Backend, name, None)
