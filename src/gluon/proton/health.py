"""How the server is: what works, what doesn't, and why, for operators and load balancers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

HealthCheckFunction = Callable[[], Awaitable[dict[str, Any]]]
"""One part's own report: a dict with `status` (ok, degraded, failing) and whatever explains it."""

_ORDER = ("ok", "degraded", "failing")


class Health:
    """The parts' reports put together; the worst of them is the server's own."""

    def __init__(self, checks: Mapping[str, HealthCheckFunction]) -> None:
        self._checks = dict(checks)

    async def report(self) -> dict[str, Any]:
        """`{"status": ..., "checks": {part: report}}`."""
        checks = {name: await check() for name, check in self._checks.items()}
        worst = max((check["status"] for check in checks.values()), key=_ORDER.index, default="ok")
        return {"status": worst, "checks": checks}
