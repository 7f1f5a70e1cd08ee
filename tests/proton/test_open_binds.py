"""Binds that stay open: whose they are, and when they are given up; PERIOD and MARGIN are shortened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gluon.proton import open_binds
from gluon.proton.open_binds import OpenBinds
from gluon.proton.pending_bind import PendingBind
from gluon.proton.registry import HostedObject
from gluon.store.database import DatabaseUnavailable

HOSTED = cast(HostedObject, None)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_binds, "PERIOD", 0.01)
    monkeypatch.setattr(open_binds, "MARGIN", 0.05)


class Site:
    """A database with pending binds, and the requests of this server."""

    def __init__(self, *, bind_timeout: float = 0.0, longest: float = 0.0) -> None:
        self.pending: list[PendingBind] = []
        self.waited_for: list[PendingBind] = []
        self.given_up: list[str] = []
        self.looked_up: list[str] = []
        self.longest = longest
        self.away = False
        self.open_binds = OpenBinds(self, self.list_pending, self.longest_wait, bind_timeout)

    def under_way(self) -> Collection[PendingBind]:
        return list(self.waited_for)

    async def look_up(self, bind: PendingBind) -> None:
        self.looked_up.append(bind.bind_id)
        self.waited_for.remove(bind)

    async def give_up(self, bind: PendingBind) -> None:
        self.given_up.append(bind.bind_id)
        self.pending.remove(bind)

    async def list_pending(self) -> Collection[PendingBind]:
        if self.away:
            raise DatabaseUnavailable("away")
        return list(self.pending)

    async def longest_wait(self) -> float:
        return self.longest

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.open_binds.run())
        try:
            yield
        finally:
            self.open_binds.stop()
            await task


def bind(bind_id: str) -> PendingBind:
    return PendingBind(HOSTED, f"port-of-{bind_id}", bind_id)


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_bind_that_nobody_waits_for_is_given_up() -> None:
    site = Site()
    site.pending = [bind("a"), bind("b")]
    async with site.running():
        await eventually(lambda: site.given_up == ["a", "b"])
    assert site.open_binds.counters.given_up == 2


async def test_a_bind_that_a_request_waits_for_here_is_left_to_it() -> None:
    site = Site()
    site.pending = [bind("ours"), bind("theirs")]
    site.waited_for = [bind("ours")]
    async with site.running():
        await eventually(lambda: site.given_up == ["theirs"])
        await asyncio.sleep(0.2)
    assert site.given_up == ["theirs"]


async def test_a_server_that_waits_for_longer_has_its_time() -> None:
    site = Site(longest=0.4)
    site.pending = [bind("a")]
    loop = asyncio.get_running_loop()
    async with site.running():
        began = loop.time()
        await eventually(lambda: site.given_up)
        assert loop.time() - began >= 0.4


async def test_time_counts_from_when_this_very_bind_was_first_seen() -> None:
    site = Site(bind_timeout=0.3)
    site.pending = [bind("a")]
    loop = asyncio.get_running_loop()
    async with site.running():
        await asyncio.sleep(0.25)
        # The port is bound anew.
        site.pending = [bind("b")]
        began = loop.time()
        await eventually(lambda: site.given_up)
        assert loop.time() - began >= 0.3
    assert site.given_up == ["b"]


async def test_requests_hear_of_binds_that_ended_on_another_server() -> None:
    site = Site()
    site.waited_for = [bind("a")]
    async with site.running():
        await eventually(lambda: site.looked_up == ["a"])


async def test_a_database_that_is_away_is_asked_again() -> None:
    site = Site()
    site.pending = [bind("a")]
    site.away = True
    async with site.running():
        await eventually(lambda: site.open_binds.counters.failures > 2)
        assert site.open_binds.counters.last_error == "away"
        site.away = False
        await eventually(lambda: site.given_up == ["a"])
        assert site.open_binds.counters.last_error is None
