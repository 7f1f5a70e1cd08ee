"""Threads for callbacks that block, in which one that hangs takes nobody else's place."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class CallbackThreads:
    """At most `limit` threads, not counting those whose call was given up.

    They are daemons: a callback that hangs for good can't keep the process from ending.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._calls = 0
        """Those that run, and those that wait for a thread."""
        self._given_up: set[asyncio.Future[Any]] = set()

    def run(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Call the function in a thread; what comes of it. Cancelling that doesn't stop the function."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            self._calls += 1
            self._jobs.put((function, loop, future))
            self._start_if_needed()
        return future

    def give_up(self, future: asyncio.Future[Any]) -> None:
        """Nobody waits for this call any longer: until it returns, another thread may take its place."""
        with self._lock:
            self._given_up.add(future)
            self._limit += 1
            self._start_if_needed()

    def close(self) -> None:
        """End the threads, each after the call that it is in."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)

    def _start_if_needed(self) -> None:
        if self._threads < min(self._calls, self._limit):
            self._threads += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, loop, future = job
            try:
                result, error = function(), None
            # Whatever it is, it belongs to the one who waits for the call.
            except BaseException as raised:  # noqa: BLE001
                result, error = None, raised
            # A loop that was closed meanwhile has nobody who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, result, error)
            if not self._stays(future):
                return

    def _stays(self, finished: asyncio.Future[Any]) -> bool:
        with self._lock:
            self._calls -= 1
            if finished in self._given_up:
                self._given_up.remove(finished)
                self._limit -= 1
            stays = self._threads <= self._limit
            self._threads -= not stays
            return stays


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        future.set_exception(error)
    else:
        # A future doesn't take these as they are; a callback that raises one of them is broken all the same.
        future.set_exception(RuntimeError(f"raised {error!r}"))
