"""Times as they stand in rows: RFC 3339, UTC, microseconds, 27 characters, so that they sort as text."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """The present time, like `2026-11-22T03:57:00.123456Z`."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
