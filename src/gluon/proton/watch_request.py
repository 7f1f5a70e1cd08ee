"""What a request to watch a collection asks for, held against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gluon.proton.errors import MalformedRequest, Wrong
from gluon.proton.listing import QueryPairs, list_request
from gluon.proton.position import Position
from gluon.proton.registry import HostedObject

PAGED = ("limit", "marker", "sort_key", "sort_dir")
"""Parameters of lists that a watch, which has neither pages nor an order, can't have."""

START = "start_revision"


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What a watch asks for; without a start it begins with a snapshot."""

    filters: Mapping[str, Sequence[Any]]
    fields: tuple[str, ...]
    start: Position | None


def watch_request(hosted: HostedObject, pairs: QueryPairs, last_event_id: str | None) -> WatchRequest:
    """Check a request to watch; raises MalformedRequest with everything that is wrong in it.

    `last_event_id` wins over `start_revision`: a client that comes back repeats the query that it began with.
    """
    wrong = [Wrong(name, "can't be combined with watch") for name, _ in pairs if name in PAGED]
    starts = [(name, text) for name, text in pairs if name == START]
    if last_event_id:
        starts.append(("Last-Event-ID", last_event_id))
    start = None
    for name, text in starts:
        try:
            start = Position.parse(text)
        except ValueError as error:
            wrong.append(Wrong(name, str(error)))
    rest = tuple(pair for pair in pairs if pair[0] not in (*PAGED, START, "watch"))
    try:
        request = list_request(hosted, rest, max_limit=1)
    except MalformedRequest as error:
        raise MalformedRequest(str(error), [*wrong, *error.wrong]) from error
    if wrong:
        raise MalformedRequest("the query has wrong parameters", wrong)
    return WatchRequest(request.filters, request.fields, start)
