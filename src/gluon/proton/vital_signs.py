"""What a server's health is made of, besides what its relay and its answers say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.version import parse_version, version_problem
from gluon.proton.health import Condition
from gluon.proton.hosting import Hosted
from gluon.store.database import Database, DatabaseError
from gluon.store.outbox import Outbox

_ETCD_PATIENCE = 1.0
"""Seconds that a report waits for etcd: less than for the database, as its absence is no failure."""


class VitalSigns:
    """Looks at the database, at etcd, and at the models."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        etcd: Etcd,
        hosted: Callable[[], Hosted],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._etcd = etcd
        self._hosted = hosted
        self._is_stopping = is_stopping

    def conditions(self) -> tuple[Condition, ...]:
        """What must hold for the server to get requests."""
        return (
            Condition("the server is stopping", self._goes_on),
            Condition("the database can't be read", self._has_database),
            Condition("no model is served", self._has_models),
        )

    async def database(self) -> dict[str, Any]:
        """Whether the database answers."""
        try:
            await self._database.read(self._outbox.depth)
        except DatabaseError as error:
            return {"status": "failing", "reason": str(error)}
        return {"status": "ok"}

    async def etcd(self) -> dict[str, Any]:
        """Whether etcd answers, which version it is of, and what it complains of."""
        try:
            async with asyncio.timeout(_ETCD_PATIENCE):
                status = await self._etcd.status()
        except (EtcdError, TimeoutError) as error:
            reason = str(error) or f"it doesn't answer within {_ETCD_PATIENCE} s"
            return {"status": "degraded", "reason": f"writes are queued, binds fail: {reason}"}
        report: dict[str, Any] = {"status": "ok", "version": status.version, "alarms": list(status.alarms)}
        problem = version_problem(parse_version(status.version))
        if problem is not None:
            report |= {"status": "degraded", "reason": problem}
        elif status.alarms:
            report |= {"status": "degraded", "reason": f"etcd raises {', '.join(status.alarms)}"}
        return report

    async def models(self) -> dict[str, Any]:
        """Which models are served, and what is wrong with those that aren't."""
        hosted = self._hosted()
        report: dict[str, Any] = {
            "status": "degraded" if hosted.problems else "ok",
            "served": hosted.registry.digests(),
        }
        if hosted.problems:
            report["problems"] = hosted.problems
        return report

    async def _goes_on(self) -> bool:
        return not self._is_stopping()

    async def _has_database(self) -> bool:
        return bool((await self.database())["status"] == "ok")

    async def _has_models(self) -> bool:
        return bool(self._hosted().registry.protons)
