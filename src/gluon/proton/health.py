"""How the server is: what works, what doesn't, and why, for operators and load balancers.

Three questions. Is it alive: does the process answer at all? Is it ready: should it get requests? etcd's
absence is no reason why not, since writes are accepted and queued. And how is it: what each part says.
Every answer comes within a bounded time, whatever the parts do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

HealthCheckFunction = Callable[[], Awaitable[dict[str, Any]]]
"""One part's own report: a dict with `status` (ok, degraded, failing) and whatever explains it."""

PATIENCE = 2.0
"""Seconds that a part may take for its report; load balancers wait little longer."""

_ORDER = ("ok", "degraded", "failing")


@dataclass(frozen=True, slots=True)
class Condition:
    """Without this the server should get no requests; `reason` says so to anybody, and reveals no more."""

    reason: str
    holds: Callable[[], Awaitable[bool]]


class Health:
    """The parts' reports put together; the worst of them is the server's own."""

    def __init__(
        self,
        checks: Mapping[str, HealthCheckFunction],
        conditions: tuple[Condition, ...] = (),
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._checks = dict(checks)
        self._conditions = conditions
        self._patience = patience

    async def report(self) -> dict[str, Any]:
        """`{"status": ..., "checks": {part: report}}`."""
        reports = await asyncio.gather(*(self._report(check) for check in self._checks.values()))
        worst = max((report["status"] for report in reports), key=_ORDER.index, default="ok")
        return {"status": worst, "checks": dict(zip(self._checks, reports, strict=True))}

    async def reasons_against(self) -> list[str]:
        """Why this server should get no requests now; empty when it should."""
        held = await asyncio.gather(*(self._holds(condition) for condition in self._conditions))
        return [c.reason for c, holds in zip(self._conditions, held, strict=True) if not holds]

    async def _report(self, check: HealthCheckFunction) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._patience):
                return await check()
        except TimeoutError:
            return {"status": "failing", "reason": f"it doesn't answer within {self._patience:g} s"}

    async def _holds(self, condition: Condition) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                return await condition.holds()
        except TimeoutError:
            return False


def brief(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as anybody may see it: how the parts are, and nothing of why."""
    checks = {name: {"status": check["status"]} for name, check in report["checks"].items()}
    return {"status": report["status"], "checks": checks}
