"""What a long answer needs to know of the connection that it goes over, and may do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_EXTENSION = "gluon.line"


def _nothing() -> None:
    """Where the connection is out of reach."""


@dataclass(frozen=True, slots=True)
class Line:
    """A connection, for as long as it is open."""

    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has gone, or the server stops: whatever goes on for long must end."""
    abort: Callable[[], None] = _nothing
    """Closes it at once, with all that is still to be sent."""

    def extension(self) -> dict[str, Any]:
        """For the scope of a request (ASGI's `extensions`)."""
        return {_EXTENSION: self}

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Line:
        """The line that a request came over; one that never ends where the HTTP server tells none."""
        line = (scope.get("extensions") or {}).get(_EXTENSION)
        return line if isinstance(line, cls) else cls()
