"""`/healthcheck`: how the server is, whether it should get requests, and whether it is alive at all."""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.proton.health import Health, brief
from gluon.proton.identity import AuthStrategy, Unauthenticated
from gluon.proton.web.requests import QueryString


class HealthCheck:
    """`GET /healthcheck`: how the server is, 503 when it can't serve; reasons for administrators."""

    def __init__(self, health: Health, auth: AuthStrategy) -> None:
        self._health = health
        self._auth = auth

    async def on_get(self, req: Request, resp: Response) -> None:
        """The report."""
        QueryString.of(req).allow()
        report = await self._health.report()
        if not await self._is_administrator(req):
            report = brief(report)
        _answer(resp, report["status"] != "failing", report)

    async def _is_administrator(self, req: Request) -> bool:
        try:
            identity = await self._auth.identify(req.headers)
        except Unauthenticated:
            return False
        return "admin" in identity.roles


class Readiness:
    """`GET /healthcheck/ready`: 200 when this server should get requests, 503 with reasons when not."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def on_get(self, req: Request, resp: Response) -> None:
        """`{"ready": bool, "reasons": [...]}`."""
        QueryString.of(req).allow()
        reasons = await self._health.reasons_against()
        _answer(resp, not reasons, {"ready": not reasons, "reasons": reasons})


class Liveness:
    """`GET /healthcheck/live`: 200, for as long as requests are answered at all."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """`{"alive": true}`."""
        QueryString.of(req).allow()
        _answer(resp, True, {"alive": True})


def _answer(resp: Response, good: bool, document: dict[str, Any]) -> None:
    resp.status = 200 if good else 503
    resp.content_type = "application/json"
    # Proxies must ask each time.
    resp.set_header("Cache-Control", "no-store")
    resp.data = msgspec.json.encode(document)
