"""Reading `text/event-stream`, as the WHATWG's HTML standard, section 9.2.6, has it interpreted."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its name, its data, and the id that was given last, by it or before it ("": none)."""

    name: str
    data: str
    last_id: str


class EventStreamParser:
    """Makes events of bytes that come in pieces of any size; one for each stream.

    `last_id` goes into the next request after an interruption, `retry` is how long to wait before it, in
    milliseconds, if the server said so.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._begun = False
        self._after_cr = False
        self._id = last_id
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """The events that are complete with this piece."""
        for line in self._lines(self._decoder.decode(piece)):
            if line:
                self._field(line)
                continue
            self.last_id = self._id
            if self._data:
                yield ServerSentEvent(self._name or "message", "\n".join(self._data), self.last_id)
            self._name, self._data = "", []

    def _lines(self, text: str) -> Iterator[str]:
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if text and self._after_cr:
            # A line may end with CR, LF or both; the LF of the last one comes in a piece of its own.
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        *lines, self._text = (self._text + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        yield from lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
