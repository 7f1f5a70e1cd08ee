"""Works that only insert, committed together: a busy server pays for one commit what it would pay for each.

Whatever waits while others are committed goes in the next group, so that groups grow by themselves under
load; nobody ever waits for a group to fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gluon.store.database import Work
from gluon.store.networked_transaction import NetworkedTransaction

GROUP = 64
"""Most works in one commit: bounds how long the first of them waits for the last."""

ROWS = 4096
"""No more works in a group that has as many rows."""

_AT_A_TIME = 2
"""Groups under way: while the disk is waited for, the rows of the next are sent."""


@dataclass(frozen=True, slots=True)
class Member:
    """A work that is over, but for its rows."""

    work: Work[Any]
    rows: NetworkedTransaction
    result: Any
    done: asyncio.Future[Any]

    def succeed(self, result: Any) -> None:
        """It is committed."""
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """It is not."""
        if not self.done.done():
            self.done.set_exception(error)


class GroupCommit:
    """Gathers works. `commit` commits a group, tells each member what came of it, and must not raise."""

    def __init__(self, commit: Callable[[list[Member]], Awaitable[None]]) -> None:
        self._commit = commit
        self._waiting: deque[Member] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, work: Work[Any], rows: NetworkedTransaction, result: Any) -> Any:
        """The result of a work, once its rows are committed; while it waits, its caller may be cancelled."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(Member(work, rows, result, done))
        if self._under_way < _AT_A_TIME:
            self._under_way += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await done

    async def _work(self) -> None:
        try:
            while group := self._next_group():
                await self._commit(group)
        finally:
            # Not left to the task's end: what is added in between would wait for nobody.
            self._under_way -= 1

    def _next_group(self) -> list[Member]:
        group: list[Member] = []
        rows = 0
        while self._waiting and len(group) < GROUP and rows < ROWS:
            member = self._waiting.popleft()
            if not member.done.done():
                group.append(member)
                rows += member.rows.kept
        return group
