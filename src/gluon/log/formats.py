"""How a line of the log looks: as text, or as JSON."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gluon.log.request_ids import current_request_id
from gluon.log.traces import current_trace_id

DATA = "data"
"""Attribute of a record with its facts by name, which JSON lines show as they are (`extra={DATA: …}`)."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class TextFormatter(logging.Formatter):
    """`time pid LEVEL logger [request id, trace id]: message`, the traceback in further lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(process)d %(levelname)s %(name)s%(request)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        ids = [text for text in (current_request_id(), current_trace_id()) if text]
        record.request = f" [{' '.join(ids)}]" if ids else ""
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """A JSON object without line breaks: `time` (RFC 3339, UTC), `level`, `logger`, `pid`, `message`, and
    where there are any `request_id`, `trace_id`, `exception` and `data`. A message that is a struct stands
    in `data`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
        }
        if isinstance(record.msg, msgspec.Struct):
            line[DATA] = record.msg
        else:
            line["message"] = record.getMessage()
        if request_id := current_request_id():
            line["request_id"] = request_id
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        data = getattr(record, DATA, None)
        if isinstance(data, Mapping):
            line[DATA] = data
        try:
            return _encode(line).decode()
        except (UnicodeEncodeError, msgspec.EncodeError, RecursionError, OverflowError):
            # Half of a surrogate pair in what a client or a vendor's code said: shown, not lost.
            return _encode({name: _printable(value) for name, value in line.items()}).decode()


def _printable(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
