"""A log file of its own for one logger: only the messages, each a line, as they are."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

_log = logging.getLogger(__name__)

_MODE = 0o640
"""For its owner to write, and for a group of auditors to read."""


class OwnFile(WatchedFileHandler):
    """Appends messages to a file; opens it anew once it was moved away or deleted, as logrotate does.

    Several processes may append to one file: each line is handed to the system in one piece.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(message)s"))

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Keep a line that the file doesn't take (a full disk) in the ordinary log."""
        _log.exception(
            "%s can't be written; this line belongs there: %s", self.baseFilename, record.getMessage()
        )


def send_to_own_file(logger: str, path: Path) -> None:
    """Have what a logger is told, from INFO on, go to a file and nowhere else; raises OSError."""
    found = logging.getLogger(logger)
    for handler in [h for h in found.handlers if isinstance(h, OwnFile)]:
        found.removeHandler(handler)
        handler.close()
    found.addHandler(OwnFile(path))
    found.setLevel(logging.INFO)
    found.propagate = False
