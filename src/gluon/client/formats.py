"""The names of the formats that commands print in, apart from what prints them: `--help` needs no more."""

from __future__ import annotations

FORMATS = ("json", "yaml", "table", "csv", "value")
