"""The trace that the present work belongs to, known to everything that is logged meanwhile.

A trace is carried as text: a `traceparent` of W3C Trace Context, and behind a space the `tracestate` that
came with it, if any. There is one only where traces are exported, and this one is.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

_current: ContextVar[str | None] = ContextVar("gluon_trace", default=None)


def current_trace() -> str | None:
    """The trace of this task, to be handed on to what follows from it."""
    return _current.get()


def current_trace_id() -> str | None:
    """The id of that trace: 32 hexadecimal digits."""
    carried = _current.get()
    # version "-" trace-id "-" parent-id "-" trace-flags: section 3.2 of W3C Trace Context.
    return carried[3:35] if carried is not None else None


def enter_trace(carried: str | None) -> Token[str | None]:
    """Work for that trace from now on, in this task; the token is for `leave_trace`."""
    return _current.set(carried)


def leave_trace(token: Token[str | None]) -> None:
    """Work for what was before."""
    _current.reset(token)


def carried(traceparent: str | None, tracestate: str | None) -> str | None:
    """A trace as text, from the two fields that carry it elsewhere."""
    if traceparent is None:
        return None
    return f"{traceparent.strip()} {tracestate.strip()}" if tracestate else traceparent.strip()


def fields_of(trace: str) -> dict[str, str]:
    """The fields that carry a trace elsewhere: `traceparent`, and where there is one, `tracestate`."""
    traceparent, _, tracestate = trace.partition(" ")
    return {"traceparent": traceparent} | ({"tracestate": tracestate} if tracestate else {})
