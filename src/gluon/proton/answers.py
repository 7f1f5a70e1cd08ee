"""From controllers' answers in etcd to bound ports, and to the requests that wait for them.

Life of an answer: a shim writes `/controller/<service>/<Port>/<port id>` (for an inactive binding:
`…/<host>`) → the mirror tells the watcher
→ an answer that a request of this server waits for is taken at once; any other one (late, meant for
another server, or found in a list after a restart) only if its port still waits for that very bind,
which one look into the database tells for all of them → the port's row and its outbox row are written by
the one door for writes, under the condition that the port still waits → the request, if any, is told.

Taking is conditional in the database, so it may be tried by any number of servers and any number of
times. A wait costs a future: no thread, no transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror
from gluon.proton.answer import Answer, MalformedAnswer, parse_answer
from gluon.proton.bind_waits import BindWaits, Row

_log = logging.getLogger(__name__)

WORKERS = 64
"""Answers being taken at a time; as many as the database commits in one group."""

RETRY_FIRST, RETRY_LAST = 0.1, 30.0
"""Seconds before an answer that could not be stored is tried again; doubled up to the last."""

_PARSED_AT_A_TIME = 500
"""A list after a restart may hold an answer for every port there is; requests go on meanwhile."""


class WaitingBind(NamedTuple):
    """A bind that no answer was stored for yet."""

    service: str
    port_id: str
    bind_id: str


class TakeAnswer(Protocol):
    """Store an answer in its port, unless it has one: the answered port's row.

    None for an answer to a bind that is over, and for one from under a key that is no port's.
    """

    def __call__(self, service: str, object_name: str, port_id: str, answer: Answer) -> Awaitable[Row | None]:
        """May raise MalformedAnswer; whatever else it raises has the answer tried again later."""


class ListWaiting(Protocol):
    """All binds in the database that wait for an answer, those included whose time is over."""

    def __call__(self) -> Awaitable[Collection[WaitingBind]]:
        """May raise; it is asked again later."""


@dataclass(frozen=True, slots=True)
class _Task:
    """An answer on its way into its port."""

    key: str
    service: str
    object_name: str
    port_id: str
    answer: Answer
    attempt: int = 0


@dataclass
class AnswerCounters:
    """What the watcher has done so far, for health and metrics."""

    taken: int = 0
    stale: int = 0
    """Answers that no port waited for any more."""
    malformed: int = 0
    failures: int = 0
    last_error: str | None = None
    failing: dict[str, str] = field(default_factory=dict)
    """Keys of answers that could not be stored, and why; they are tried again."""


class AnswerWatcher:
    """Watches the answers of all controllers and has each of them taken once.

    An answer that can't be stored is tried again with a growing delay, and holds up no other: it gives
    its worker back meanwhile. A newer answer for the same port replaces it.
    """

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        waits: BindWaits,
        take: TakeAnswer,
        list_waiting: ListWaiting,
        *,
        head_start: float = 0.0,
    ) -> None:
        """`head_start`: seconds that other servers have to take the answers that their requests wait for. All
        of them see each answer; without it they would all run for the same row.
        """
        self.counters = AnswerCounters()
        # Values are not kept: an answer is looked at when it comes, and stands in the port from then on.
        self.mirror = Mirror(etcd, keys.answers(), self._changed, keep_values=False)
        self._keys = keys
        self._waits = waits
        self._take = take
        self._list_waiting = list_waiting
        self._head_start = head_start
        self._ready: asyncio.Queue[_Task] = asyncio.Queue()
        self._unexpected: dict[str, bytes] = {}
        self._any_unexpected = asyncio.Event()
        self._current: dict[str, Answer] = {}
        self._malformed: set[str] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Watch until `stop` or cancelled."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._work(), name=f"answers-{i}") for i in range(WORKERS)]
            running.append(tasks.create_task(self._sort(), name="answers-unexpected"))
            running.append(tasks.create_task(self.mirror.run(), name="answers-mirror"))
            try:
                await self._stopped.wait()
            finally:
                for task in running:
                    task.cancel()

    def stop(self) -> None:
        """Have `run` return; answers that are not taken yet are found again at the next start."""
        self._stopped.set()

    async def health(self) -> dict[str, Any]:
        """For the server's health report."""
        reached = self.mirror.synced.is_set()
        failing = dict(sorted(self.counters.failing.items())[:10])
        return {
            "status": "ok" if reached and not failing else "degraded",
            "synced": reached,
            "waiting_requests": len(self._waits),
            "taken": self.counters.taken,
            "malformed": self.counters.malformed,
            **({"failing": failing} if failing else {}),
        }

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._forget(change.key)
            if change.value is None:
                self._malformed.discard(change.key)
                continue
            # Looking for a waiting request is worth a parse only if there is one.
            task = self._parse(change.key, change.value) if self._waits else None
            if task is not None and task.answer.bind_id in self._waits:
                self._begin(task)
            else:
                self._unexpected[change.key] = change.value
                self._any_unexpected.set()

    def _forget(self, key: str) -> None:
        self._unexpected.pop(key, None)
        self._current.pop(key, None)
        self.counters.failing.pop(key, None)

    def _begin(self, task: _Task) -> None:
        self._current[task.key] = task.answer
        self._ready.put_nowait(task)

    def _parse(self, key: str, value: bytes) -> _Task | None:
        segments = self._keys.parse(key).segments
        try:
            if len(segments) not in (3, 4):
                raise MalformedAnswer("the key is not /controller/<service>/<Port>/<port id>[/<host>]")
            # Which of the port's bindings it is for is told by its bind_id: that may be active by now.
            service, object_name, port_id = segments[:3]
            return _Task(key, service, object_name, port_id, parse_answer(value))
        except MalformedAnswer as error:
            self._ignore(key, error)
            return None

    def _ignore(self, key: str, error: MalformedAnswer) -> None:
        if key not in self._malformed:
            self._malformed.add(key)
            self.counters.malformed += 1
            _log.warning("ignoring the answer in %s: %s", key, error)

    async def _sort(self) -> None:
        """Pick from the answers that nobody here waits for those that their ports still wait for."""
        delay = RETRY_FIRST
        while True:
            await self._any_unexpected.wait()
            await asyncio.sleep(self._head_start)
            self._any_unexpected.clear()
            unexpected, self._unexpected = self._unexpected, {}
            try:
                # Read after the answers came, so a bind that one of them is for is in it if it still waits.
                waiting = set(await self._list_waiting())
                delay = RETRY_FIRST
            except Exception as error:  # noqa: BLE001 - whatever it is, answers must go on being taken
                self._failed("the binds that wait for an answer could not be read", error)
                self._unexpected = unexpected | self._unexpected
                self._any_unexpected.set()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_LAST)
                continue
            await self._pick(unexpected, waiting)

    async def _pick(self, unexpected: Mapping[str, bytes], waiting: Collection[WaitingBind]) -> None:
        for count, (key, value) in enumerate(unexpected.items(), 1):
            task = self._parse(key, value)
            if task is not None:
                if WaitingBind(task.service, task.port_id, task.answer.bind_id) in waiting:
                    self._begin(task)
                else:
                    self.counters.stale += 1
            if count % _PARSED_AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _work(self) -> None:
        while True:
            task = await self._ready.get()
            try:
                row = await self._take(task.service, task.object_name, task.port_id, task.answer)
            except MalformedAnswer as error:
                self._ignore(task.key, error)
                self._done(task)
                continue
            except Exception as error:  # noqa: BLE001 - one bad answer must not stop the others
                self._retry_later(task, error)
                continue
            self._done(task)
            if row is None:
                self.counters.stale += 1
            else:
                self.counters.taken += 1
                self._waits.settle(task.answer.bind_id, row)

    def _done(self, task: _Task) -> None:
        if self._current.get(task.key) is task.answer:
            self._forget(task.key)

    def _retry_later(self, task: _Task, error: Exception) -> None:
        # While the database is away every answer fails; one of them in the log tells it, health has the rest.
        if task.attempt == 0 and not self.counters.failing:
            self._failed(f"the answer in {task.key} could not be stored, and will be tried again", error)
        if self._current.get(task.key) is not task.answer:
            return  # a newer answer has replaced it, or the port is gone
        self.counters.failing[task.key] = str(error) or repr(error)
        delay = min(RETRY_FIRST * 2 ** min(task.attempt, 30), RETRY_LAST)
        asyncio.get_running_loop().call_later(delay, self._try_again, replace(task, attempt=task.attempt + 1))

    def _try_again(self, task: _Task) -> None:
        if self._current.get(task.key) is task.answer:
            self._ready.put_nowait(task)

    def _failed(self, what: str, error: Exception) -> None:
        self.counters.failures += 1
        self.counters.last_error = f"{what}: {error}"
        _log.warning("%s", what, exc_info=error)
