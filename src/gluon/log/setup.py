"""Setting up the log of a process, once at its start."""

from __future__ import annotations

import logging
import sys

from gluon.log.formats import JsonFormatter, TextFormatter
from gluon.log.options import LogSettings

ACCESS_LOGGER = "gluon.access"


def set_up_logging(settings: LogSettings) -> None:
    """Log to standard error as told; what was set up before is replaced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    # Found out for each record otherwise, at a third of its cost, and shown by none of our formats.
    logging.logThreads = logging.logMultiprocessing = False
    if settings.access:
        logging.getLogger(ACCESS_LOGGER).setLevel(logging.INFO)
