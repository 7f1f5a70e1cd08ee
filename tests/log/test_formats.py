"""How lines of the log look."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import datetime, timedelta

import msgspec
import pytest

from gluon.log.formats import DATA, JsonFormatter, TextFormatter
from gluon.log.request_ids import begin_request


def record(message: str, *arguments: object, failed: bool = False) -> logging.LogRecord:
    error = None
    if failed:
        try:
            raise LookupError("no such thing")
        except LookupError:
            error = sys.exc_info()
    return logging.LogRecord("gluon.test", logging.WARNING, __file__, 1, message, arguments, error)


def as_json(made: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    return json.loads(line)


async def test_a_json_line_has_its_facts_under_fixed_names() -> None:
    line = as_json(record("%s of %d", "one", 2))
    said = datetime.fromisoformat(str(line.pop("time")))
    assert said.utcoffset() == timedelta(0)
    assert line == {"level": "WARNING", "logger": "gluon.test", "pid": os.getpid(), "message": "one of 2"}


async def test_a_line_has_the_id_of_the_request_that_it_was_written_for() -> None:
    assert "request_id" not in as_json(record("before"))
    request_id = begin_request()
    assert as_json(record("within"))["request_id"] == request_id
    assert f"WARNING gluon.test [{request_id}]: within" in TextFormatter().format(record("within"))


async def test_an_exception_is_told_within_the_line() -> None:
    line = as_json(record("it failed", failed=True))
    assert line["message"] == "it failed"
    assert "Traceback" in str(line["exception"]) and "LookupError: no such thing" in str(line["exception"])


async def test_a_records_data_stand_in_the_line() -> None:
    made = record("GET / 200")
    setattr(made, DATA, {"status": 200, "user": None})
    assert as_json(made)["data"] == {"status": 200, "user": None}


@pytest.mark.parametrize("odd", ["a\nb", "\ud800", "\x1b[31m", "ü" * 1000])
async def test_whatever_is_said_stays_in_one_line(odd: str) -> None:
    assert as_json(record("%s", odd))["message"]


class Fact(msgspec.Struct):
    status: int


async def test_a_message_of_facts_stands_in_the_line_as_they_are() -> None:
    made = record("x")
    made.msg = Fact(3)
    line = as_json(made)
    assert line["data"] == {"status": 3} and "message" not in line


async def test_data_that_are_no_json_are_shown_all_the_same() -> None:
    made = record("x")
    setattr(made, DATA, {"what": object(), "half": "\ud800", "large": 2**70})
    assert "object object" in json.dumps(as_json(made)[DATA])
