"""The text/event-stream that browsers read is read alike here, in whatever pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluon.client.event_stream import EventStreamParser

# The examples are those of the standard itself, with what it says comes of them: event, data, last id.
EXAMPLES = [
    ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
    (
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", "")],
    ),
    ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
    ("data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
    ("\ufeffevent: ADDED\r\nid: a-1\r\ndata: {}\r\n\r\n", [("ADDED", "{}", "a-1")]),
    ("event: x\rdata: 1\r\rretry: 20\rwhat: y\r\r", [("x", "1", "")]),
    ("id: 7\n\ndata: é\n\nid: a\0b\ndata: z\n\n", [("message", "é", "7"), ("message", "z", "7")]),
]


@pytest.mark.parametrize(("text", "events"), EXAMPLES)
@given(st.data())
def test_examples_in_pieces(text: str, events: list[tuple[str, str, str]], data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=8)))
    parser = EventStreamParser()
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    found = [event for piece in pieces for event in parser.feed(piece)]
    assert [(e.name, e.data, e.last_id) for e in found] == events
    assert parser.retry == (20 if "retry" in text else None)
