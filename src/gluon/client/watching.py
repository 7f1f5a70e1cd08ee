"""Watching a collection from afar: reconnects, goes on where it was, and lists again where it must.

Whoever iterates sees ADDED, MODIFIED and DELETED, and nothing of interruptions. When the server can't go on
from where the watch was (`TOO_OLD`), it sends a new snapshot; that is compared with what was told before, and
the differences are told, deletions that were missed included.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gluon.client.errors import AnswerLost, ClientError, ServerUnreachable, Unavailable, UnexpectedAnswer
from gluon.client.event_stream import EventStreamParser, ServerSentEvent
from gluon.client.session import ProtonSession, Query

SILENCE = 45.0
"""Seconds without a byte after which a stream is given up: the server says something every 15."""

_LONGEST_WAIT = 30.0
_FIRST_WAIT = 0.5

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an object: `type` is ADDED, MODIFIED or DELETED, `object` how it is, or was last seen.

    `last_event_id` is where another watch can go on behind this change; None while a snapshot is under way.
    """

    type: str
    object: Document
    last_event_id: str | None


class Watching:
    """Iterates over the changes of one collection, for ever."""

    def __init__(
        self,
        session: ProtonSession,
        path: str,
        query: Query,
        *,
        key: str,
        fields: tuple[str, ...],
        last_event_id: str | None,
        on_trouble: Callable[[ClientError], None] | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`key` is the identifying attribute; `fields` are those to show, none for all."""
        self._session = session
        self._path = path
        self._query = [*query, ("watch", "true")]
        self._key = key
        self._hides_key = bool(fields) and key not in fields
        if fields:
            self._query.append(("fields", ",".join((*fields, key) if self._hides_key else fields)))
        self._last_id = last_event_id or ""
        self._on_trouble = on_trouble
        self._sleep = sleep
        self._known: dict[Any, Document] = {}
        self._listed: set[Any] | None = None
        self._wait = _FIRST_WAIT
        self._retry: int | None = None

    def __iter__(self) -> Iterator[Change]:
        """Raises what the first request runs into; later only refusals, such as that the access is gone."""
        has_begun = troubled = False
        while True:
            try:
                for event in self._events():
                    if event is None:
                        has_begun, troubled = True, False
                        continue
                    self._wait = _FIRST_WAIT
                    yield from self._changes(event)
            except (ServerUnreachable, AnswerLost, Unavailable, UnexpectedAnswer) as error:
                if not has_begun:
                    raise
                if not troubled and self._on_trouble is not None:
                    self._on_trouble(error)
                troubled = True
            self._pause()

    def _pause(self) -> None:
        wait, self._wait = self._wait, min(self._wait * 2, _LONGEST_WAIT)
        # As long as the server asks for at least, spread so that not all come back in the same instant.
        self._sleep(max(wait, (self._retry or 0) / 1000) * random.uniform(0.75, 1.25))

    def _events(self) -> Iterator[ServerSentEvent | None]:
        """The events of one stream, until it ends; None first, when it has begun."""
        parser = EventStreamParser(self._last_id)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        else:
            self._listed = set()
        with self._session.stream(self._path, query=self._query, headers=headers, silence=SILENCE) as pieces:
            yield None
            for piece in pieces:
                for event in parser.feed(piece):
                    self._last_id = event.last_id
                    yield event
                self._retry = parser.retry

    def _changes(self, event: ServerSentEvent) -> Iterator[Change]:
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError) as error:
            raise self._session.unexpected(self._path) from error
        if not isinstance(data, dict):
            raise self._session.unexpected(self._path)
        with self._session.reading(self._path):
            if event.name in ("ADDED", "MODIFIED"):
                yield from self._is_there(event.name, data)
            elif event.name == "DELETED":
                yield from self._is_gone(data[self._key], data)
            elif event.name == "BOOKMARK" and data.get("snapshot_complete") and self._listed is not None:
                missing = [key for key in self._known if key not in (self._listed or ())]
                self._listed = None
                for key in missing:
                    yield from self._is_gone(key, self._known[key])
            elif event.name == "TOO_OLD":
                self._last_id = ""

    def _is_there(self, told: str, document: Document) -> Iterator[Change]:
        key = document[self._key]
        if self._listed is not None:
            self._listed.add(key)
        before = self._known.get(key)
        self._known[key] = document
        if before is None:
            yield self._change(told, document)
        elif before != document:
            yield self._change("MODIFIED", document)

    def _is_gone(self, key: Any, document: Document) -> Iterator[Change]:
        self._known.pop(key, None)
        yield self._change("DELETED", document)

    def _change(self, type: str, document: Mapping[str, Any]) -> Change:
        shown = {n: v for n, v in document.items() if not (self._hides_key and n == self._key)}
        return Change(type, shown, None if self._listed is not None else self._last_id or None)
