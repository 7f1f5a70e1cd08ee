"""Calling a backend: in the loop, in threads, not for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gluon.shim.backend import Backend, BackendContext
from gluon.shim.callbacks import Callbacks, Overdue


def callbacks_of(backend: Any, *, timeout: float = 5.0, parallel: int = 2) -> Callbacks:
    return Callbacks(backend, timeout=timeout, parallel=parallel)


async def test_coroutines_run_in_the_loop_and_plain_functions_in_threads() -> None:
    class Both:
        async def bind_port(self, port: str) -> tuple[str, int]:
            return port, threading.get_ident()

        def modify_port(self, port: str) -> tuple[str, int]:
            return port, threading.get_ident()

        def delete_port(self, port: str) -> Any:
            return self.bind_port(port)

    callbacks = callbacks_of(Both())
    here = threading.get_ident()
    assert await callbacks.call("bind_port", "p") == ("p", here)
    port, thread = await callbacks.call("modify_port", "p")
    assert (port, thread != here) == ("p", True)
    assert await callbacks.call("delete_port", "p") == ("p", here)
    callbacks.close()


async def test_what_a_backend_does_not_have_is_not_called() -> None:
    class Half(Backend):
        def modify_port(self, port: Any) -> None:
            raise AssertionError("never called")

    callbacks = callbacks_of(Half(BackendContext("s", "c", None)))
    assert callbacks.has("modify_port")
    assert not callbacks.has("bind_port")
    assert not callbacks.has("reconcile")
    assert await callbacks.call("delete_port", 1) is None


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TimeoutError("their own")])
async def test_what_a_callback_raises_comes_through(error: Exception) -> None:
    class Failing:
        def modify_port(self) -> None:
            raise error

        async def delete_port(self) -> None:
            raise error

    callbacks = callbacks_of(Failing())
    for name in ("modify_port", "delete_port"):
        with pytest.raises(type(error)):
            await callbacks.call(name)
    callbacks.close()


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()]
)
async def test_what_would_end_the_process_or_the_worker_is_a_fault_like_any_other(
    error: BaseException,
) -> None:
    class Failing:
        def modify_port(self) -> None:
            raise error

    callbacks = callbacks_of(Failing())
    with pytest.raises(RuntimeError):
        await callbacks.call("modify_port")
    callbacks.close()


async def test_a_coroutine_that_raises_cancelled_by_itself_is_at_fault() -> None:
    class Failing:
        async def modify_port(self) -> None:
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError):
        await callbacks_of(Failing()).call("modify_port")


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    class Slow:
        async def modify_port(self) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

    with pytest.raises(Overdue, match=r"modify_port has not returned within 0\.05 s"):
        await callbacks_of(Slow(), timeout=0.05).call("modify_port")
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_threads_that_hang_take_nobody_elses_place_and_are_told_when_they_return() -> None:
    go_on = threading.Event()

    class Hanging:
        def modify_port(self) -> None:
            go_on.wait(60)

        def delete_port(self) -> int:
            return 7

    callbacks = callbacks_of(Hanging(), timeout=0.1, parallel=2)
    hung = []
    for _ in range(6):
        with pytest.raises(Overdue) as caught:
            await callbacks.call("modify_port")
        hung.append(caught.value.finished)
    assert await callbacks.call("delete_port") == 7
    assert not any(call.done() for call in hung)
    go_on.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*hung)
    assert [await callbacks.call("delete_port") for _ in range(5)] == [7] * 5
    callbacks.close()


async def test_no_more_threads_than_allowed_and_no_call_forgotten() -> None:
    lock, running, most = threading.Lock(), 0, 0

    class Counting:
        def modify_port(self, number: int) -> int:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.001)
            with lock:
                running -= 1
            return number

    callbacks = callbacks_of(Counting(), parallel=3)
    results = await asyncio.gather(*(callbacks.call("modify_port", n) for n in range(200)))
    assert results == list(range(200))
    assert most <= 3
    callbacks.close()
