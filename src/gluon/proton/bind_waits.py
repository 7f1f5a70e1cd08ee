"""The requests of a server that wait for a controller's answer to a bind. A wait costs a future."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from gluon.particle.tables import BindState

_REMEMBERED = 10_000
"""Binds whose time was over: an answer to one that is forgotten again isn't told from any other."""

Row = dict[str, Any]

WaitObserver = Callable[[str, str, float], None]
"""Told of each wait that is over: the bind, its result, and the seconds that it took.

Results: `bound`, `refused`, `timed_out`, `superseded` (bound anew, unbound or deleted), and, after it has
timed out, `late` when the answer comes.
"""


def _ignored(bind_id: str, result: str, seconds: float) -> None:
    """Nobody observes."""


class BindWaits:
    """The requests of this server that wait for the answer to a bind, by bind id."""

    def __init__(self, observe: WaitObserver = _ignored) -> None:
        self._observe = observe
        self._futures: dict[str, asyncio.Future[Row | None]] = {}
        self._waiting: Counter[str] = Counter()
        self._given_up: dict[str, float] = {}
        """When those binds began whose time was over before their answer came; the latest ones."""

    def __len__(self) -> int:
        return len(self._futures)

    def __contains__(self, bind_id: str) -> bool:
        return bind_id in self._futures

    @contextmanager
    def expecting(self, bind_ids: Iterable[str]) -> Iterator[None]:
        """Say which binds may begin in the block, before they do: no answer can then come unseen.

        Several requests may wait for one bind.
        """
        loop = asyncio.get_running_loop()
        ids = list(bind_ids)
        for bind_id in ids:
            self._futures.setdefault(bind_id, loop.create_future())
            self._waiting[bind_id] += 1
        try:
            yield
        finally:
            for bind_id in ids:
                self._waiting[bind_id] -= 1
                if not self._waiting[bind_id]:
                    del self._waiting[bind_id]
                    self._futures.pop(bind_id).cancel()

    async def answered(self, bind_id: str, within: float) -> Row | None:
        """The row with the answer to an expected bind: its port's, or for an inactive one the bind's own.

        None when `within` seconds are over, or once it is known that this answer is not to be had any
        more, because the port was bound anew, unbound or deleted.
        """
        future = self._futures[bind_id]
        began = time.monotonic()
        await asyncio.wait([future], timeout=within)
        row = future.result() if future.done() else None
        self._observe(bind_id, _result(future, row), time.monotonic() - began)
        if not future.done():
            self._remember(bind_id, began)
        return row

    def is_settled(self, bind_id: str) -> bool:
        """Whether it is known what became of an expected bind."""
        return self._futures[bind_id].done()

    def settle(self, bind_id: str, row: Row | None) -> None:
        """Tell whoever waits for a bind what became of it.

        One that is answered, and waits for a controller that must take part, goes on being waited for.
        """
        if row is not None and row.get("bind_state") == BindState.ANSWERED and row.get("status") == "DOWN":
            return
        future = self._futures.get(bind_id)
        if future is not None and not future.done():
            future.set_result(row)
        elif row is not None and (began := self._given_up.pop(bind_id, None)) is not None:
            self._observe(bind_id, "late", time.monotonic() - began)

    def _remember(self, bind_id: str, began: float) -> None:
        self._given_up[bind_id] = began
        if len(self._given_up) > _REMEMBERED:
            del self._given_up[next(iter(self._given_up))]


def _result(future: asyncio.Future[Row | None], row: Row | None) -> str:
    if not future.done():
        return "timed_out"
    if row is None:
        return "superseded"
    return "refused" if row["bind_state"] == BindState.REFUSED else "bound"
