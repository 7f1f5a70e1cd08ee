"""Traces where they are wanted. The packages that make them are an extra, imported only then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from gluon.telemetry.options import TracingSettings

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer

Attributes = Mapping[str, str | int | float | bool]

Kind = Literal["request", "step", "sending", "receiving"]
"""What a span stands for: a request that is answered, a step of it, what is sent on, what was received."""


def open_tracer(settings: TracingSettings, program: str) -> Tracer | None:
    """A tracer for this process; None where traces go nowhere."""
    if settings.endpoint is None:
        return None
    from gluon.telemetry.tracer import Tracer

    return Tracer(settings, program)
