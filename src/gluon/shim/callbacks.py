"""Calling a backend: plain functions in threads, coroutines in the loop, none longer than it may take."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

from gluon.log.traces import current_trace
from gluon.shim.backend import Backend
from gluon.shim.rate_limit import RateLimit
from gluon.shim.threads import CallbackThreads


class Overdue(Exception):
    """A callback has not returned in time. It may be running still: `finished` is done when it isn't."""

    def __init__(self, name: str, seconds: float, finished: asyncio.Future[Any]) -> None:
        super().__init__(f"{name} has not returned within {seconds:g} s")
        self.finished = finished


Ended = Callable[[float, Exception | None], None]
"""Told that a callback is over: the seconds that it took, and what it raised."""

CallbackObserver = Callable[[str, tuple[Any, ...]], Ended]
"""Told that a callback begins, with its name and arguments; gives whom to tell of its end."""


def _ignored(name: str, arguments: tuple[Any, ...]) -> Ended:
    """Nobody observes."""
    return lambda seconds, error: None


_UNLIMITED = frozenset({"start", "stop"})
_URGENT = frozenset({"bind_port", "activate_port"})
"""Somebody waits for these."""


class Callbacks:
    """The callbacks of one backend. `timeout`: seconds that one may take; `parallel`: how many threads.

    `limit` says when one may begin; the time until then doesn't count.
    """

    def __init__(
        self,
        backend: Any,
        *,
        timeout: float,
        parallel: int,
        observe: CallbackObserver = _ignored,
        limit: RateLimit | None = None,
    ) -> None:
        """`observe` must not raise."""
        self._limit = limit or RateLimit(0)
        self._observe = observe
        self._backend = backend
        self._timeout = timeout
        self._threads = CallbackThreads(parallel, f"{type(backend).__name__}-callback")

    @property
    def replay(self) -> bool:
        """Whether the backend wants everything applied again at each start."""
        return bool(getattr(self._backend, "replay", False))

    def has(self, name: str) -> bool:
        """Whether the backend has a callback of its own of that name."""
        found = getattr(type(self._backend), name, None)
        if found is not None and found is getattr(Backend, name, None):
            return False
        return callable(getattr(self._backend, name, None))

    async def call(self, name: str, *arguments: Any) -> Any:
        """What the callback gives; None when the backend doesn't have it.

        Raises what it raises, and Overdue when it takes too long.
        """
        if not self.has(name):
            return None
        if name not in _UNLIMITED:
            await self._limit.turn(urgent=name in _URGENT)
        ended, began = self._observe(name, arguments), time.perf_counter()
        try:
            result = await self._call(name, arguments)
        except Exception as error:
            ended(time.perf_counter() - began, error)
            raise
        ended(time.perf_counter() - began, None)
        return result

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.close()

    async def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        function = getattr(self._backend, name)
        if inspect.iscoroutinefunction(function):
            return await self._in_time(name, asyncio.ensure_future(_cancellable(function(*arguments))))
        call = functools.partial(function, *arguments)
        if current_trace() is not None:
            # What is logged in the thread then belongs to the trace, too.
            call = functools.partial(contextvars.copy_context().run, call)
        called = self._threads.run(call)
        result = await self._in_time(name, called, in_thread=True)
        if inspect.isawaitable(result):
            return await self._in_time(name, asyncio.ensure_future(_cancellable(result)))
        return result

    async def _in_time(self, name: str, call: asyncio.Future[Any], *, in_thread: bool = False) -> Any:
        try:
            await asyncio.wait((call,), timeout=self._timeout)
        except asyncio.CancelledError:
            if not in_thread:
                call.cancel()
            raise
        if call.done():
            return call.result()
        call.add_done_callback(_look_at)
        if in_thread:
            self._threads.give_up(call)
        else:
            call.cancel()
        raise Overdue(name, self._timeout, call)


async def _cancellable(call: Any) -> Any:
    """The call, whose own CancelledError is a fault like any other; a cancellation from outside is not."""
    try:
        return await call
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("raised CancelledError") from None


def _look_at(call: asyncio.Future[Any]) -> None:
    # What a call raises that was given up interests nobody; unlooked-at, asyncio would log it.
    if not call.cancelled():
        call.exception()
