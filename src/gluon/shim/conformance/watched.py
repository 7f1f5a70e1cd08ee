"""A vendor's backend, watched: what is called, what it raises, and what is made of that for a check."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gluon.shim.answers import answer_of_backend
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.extensions import Extensions
from gluon.shim.views import View
from gluon.shim.wishes import Wishes

_MAKES = ("bind_port", "activate_port", "modify_port", "modify_interface", "modify_service")
_BREAKS = ("unbind_port", "delete_port", "delete_interface", "delete_service")
CALLBACKS = (
    *(*_MAKES, "modify_service_binding", "modify_object"),
    *(*_BREAKS, "delete_service_binding", "delete_object"),
)


@dataclass
class Observations:
    """What was seen; shared by the backend's instances of one check. Filled from several threads."""

    twice: bool = False
    """Call each callback a second time with the same view."""
    lose: bool = False
    """Have the first call of each callback for an object succeed, and its answer be lost."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lost: set[tuple[str, str]] = field(default_factory=set)
    backends: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def trouble(self) -> str | None:
        """The first thing that no backend should do."""
        return self.faults[0] if self.faults else None

    def loses(self, name: str, view: View) -> bool:
        """Whether the answer to this call is to be lost."""
        with self.lock:
            first = (name, str(view.object_id)) not in self.lost
            self.lost.add((name, str(view.object_id)))
        return self.lose and first


class WatchedExtensions(Extensions):
    """Makes the vendor's backends, and listens to them."""

    observations = Observations()

    def backend(self, name: str, service: str, controller: str, wishes: Wishes | None = None) -> Any:
        """One whose callbacks are watched."""
        backend = super().backend(name, service, controller, wishes)
        self.observations.backends.append(backend)
        for callback in (*CALLBACKS, "reconcile", "start"):
            function = getattr(backend, callback, None)
            if function is not None:
                setattr(backend, callback, _watched(function, callback, self.observations))
        return backend


def _watched(function: Callable[..., Any], name: str, seen: Observations) -> Callable[..., Any]:
    def begins(arguments: tuple[Any, ...]) -> None:
        key = arguments[0].key if arguments and isinstance(arguments[0], View) else ""
        seen.calls.append((name, key))

    def raised(error: Exception, which: str) -> None:
        if not isinstance(error, TemporaryError):
            said = error.reason if isinstance(error, PermanentError) else repr(error)
            kind = "refused" if isinstance(error, PermanentError) else "raised"
            seen.faults.append(f"{name} {kind}{which}: {said}")

    def after(arguments: tuple[Any, ...], first: Any, second: Any) -> Any:
        if name == "bind_port":
            try:
                answer_of_backend("conformance", "", first)
            except ValueError as error:
                seen.faults.append(str(error))
        if seen.twice and first != second:
            seen.faults.append(f"{name} gave something else when called again: {second!r}, not {first!r}")
        if name in CALLBACKS and seen.loses(name, arguments[0]):
            raise TemporaryError("its answer was lost on purpose")
        return first

    again = seen.twice and name in CALLBACKS

    @functools.wraps(function)
    def plain(*arguments: Any) -> Any:
        begins(arguments)
        try:
            first = function(*arguments)
        except Exception as error:
            raised(error, "")
            raise
        if inspect.isawaitable(first):
            return finish(first, arguments)
        try:
            second = function(*arguments) if again else first
        except Exception as error:
            raised(error, " when called again")
            raise
        return after(arguments, first, second)

    async def finish(awaitable: Any, arguments: tuple[Any, ...]) -> Any:
        which = ""
        try:
            first = second = await awaitable
            if again:
                which = " when called again"
                second = await function(*arguments)
        except Exception as error:
            raised(error, which)
            raise
        return after(arguments, first, second)

    @functools.wraps(function)
    async def coroutine(*arguments: Any) -> Any:
        begins(arguments)
        return await finish(function(*arguments), arguments)

    return coroutine if inspect.iscoroutinefunction(function) else plain
