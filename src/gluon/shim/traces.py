"""The traces that callbacks belong to, and the callbacks' own spans in them.

The relay writes an object's trace in the transaction that writes the object, so the two have the same
mod_revision; a trace with another one belongs to an older change. But they come by two watches, and either
may be first: a callback whose trace isn't here yet is remembered for a moment.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror
from gluon.log.traces import carried, enter_trace, leave_trace
from gluon.shim.callbacks import Ended
from gluon.shim.shelf import ObjectId

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer

_PATIENCE = 2.0
"""Seconds that a callback's trace may come later than its object."""

_LOOK = 0.1
_MOST = 10_000
"""Callbacks that are remembered; most that find no trace belong to none."""


class _Written(msgspec.Struct):
    traceparent: str
    tracestate: str | None = None


_decoder = msgspec.json.Decoder(_Written)


@dataclass(frozen=True, slots=True)
class Called:
    """A callback that is over; `ended_at` in nanoseconds of the epoch."""

    callback: str
    object_id: ObjectId
    mod_revision: int
    seconds: float
    error: Exception | None
    ended_at: int


class CallbackTraces:
    """For the shim of one service, where traces are exported. `run` it for as long as the shim does."""

    def __init__(self, etcd: Etcd, keys: Keys, service: str, controller: str, tracer: Tracer) -> None:
        self.mirror = Mirror(etcd, keys.traces(service), _nothing)
        self._keys = keys
        self._service = service
        self._controller = controller
        self._tracer = tracer
        self._late: deque[Called] = deque(maxlen=_MOST)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.mirror.run())
            tasks.create_task(self._look_again())

    def of(self, object_id: ObjectId, mod_revision: int) -> str | None:
        """The trace of an object as that revision of etcd has it; None where there is none, or not yet."""
        key = self._keys.trace(self._service, *object_id)
        if self.mirror.mod_revision(key) != mod_revision:
            return None
        try:
            written = _decoder.decode(self.mirror.get(key) or b"")
        except msgspec.DecodeError:
            return None
        return carried(written.traceparent, written.tracestate)

    def calling(self, callback: str, about: tuple[ObjectId, int] | None) -> Ended | None:
        """A callback begins, about an object of a revision of etcd; gives whom to tell of its end."""
        if about is None:
            return None
        object_id, mod_revision = about
        token = enter_trace(self.of(object_id, mod_revision))

        def ended(seconds: float, error: Exception | None) -> None:
            leave_trace(token)
            called = Called(callback, object_id, mod_revision, seconds, error, time.time_ns())
            if not self._record(called):
                self._late.append(called)

        return ended

    def _record(self, called: Called) -> bool:
        trace = self.of(called.object_id, called.mod_revision)
        if trace is None:
            return False
        attributes = {
            "gluon.service": self._service,
            "gluon.object": called.object_id.object_name,
            "gluon.key": called.object_id.key,
            "gluon.controller": self._controller,
            "gluon.result": "done" if called.error is None else type(called.error).__name__,
        }
        self._tracer.record(
            called.callback,
            trace,
            called.seconds,
            attributes,
            kind="receiving",
            error=called.error,
            ended_at=called.ended_at,
        )
        return True

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            oldest = time.time_ns() - int(_PATIENCE * 1e9)
            for _ in range(len(self._late)):
                called = self._late.popleft()
                if not self._record(called) and called.ended_at > oldest:
                    self._late.append(called)


def _nothing(changes: Sequence[Change]) -> None:
    """A trace is looked for when its callback is over."""
