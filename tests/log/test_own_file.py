"""A log file of its own: who may read it, and how it is rotated."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gluon.log.own_file import OwnFile, send_to_own_file

NAME = "gluon.test.own_file"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    found = logging.getLogger(NAME)
    yield found
    for handler in list(found.handlers):
        found.removeHandler(handler)
        handler.close()
    found.propagate = True


def test_messages_are_lines_that_others_can_not_read(tmp_path: Path, log: logging.Logger) -> None:
    path = tmp_path / "audit.log"
    before = os.umask(0)
    try:
        send_to_own_file(NAME, path)
    finally:
        os.umask(before)
    log.info('{"a":%d}', 1)
    log.info("two")
    assert path.read_text() == '{"a":1}\ntwo\n'
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path, log: logging.Logger) -> None:
    path = tmp_path / "audit.log"
    send_to_own_file(NAME, path)
    log.info("old")
    path.rename(tmp_path / "audit.log.1")
    log.info("new")
    assert (tmp_path / "audit.log.1").read_text() == "old\n"
    assert path.read_text() == "new\n"


def test_to_be_told_twice_is_to_be_told_once(tmp_path: Path, log: logging.Logger) -> None:
    send_to_own_file(NAME, tmp_path / "first")
    send_to_own_file(NAME, tmp_path / "second")
    log.info("x")
    assert (tmp_path / "first").read_text() == "" and (tmp_path / "second").read_text() == "x\n"


def test_a_line_that_the_file_does_not_take_is_kept_in_the_ordinary_log(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = OwnFile(Path("/dev/full"))
    handler.handle(logging.LogRecord(NAME, logging.INFO, __file__, 1, "who did what", (), None))
    assert "/dev/full can't be written" in caplog.text and "who did what" in caplog.text


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        send_to_own_file(NAME, tmp_path / "missing" / "audit.log")
