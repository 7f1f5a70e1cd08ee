"""A log line for each request, where the operator asks for it."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from falcon.asgi import Request, Response

from gluon.log.formats import DATA
from gluon.log.setup import ACCESS_LOGGER

_log = logging.getLogger(ACCESS_LOGGER)


class AccessLog:
    """Middleware: logs each request that was HTTP, when its answer is made.

    The query is left out: filters hold attributes' values.
    """

    async def process_request(self, req: Request, resp: Response) -> None:
        """Called by Falcon before routing."""
        req.context.access_began = perf_counter()

    async def process_response(
        self, req: Request, resp: Response, resource: Any, req_succeeded: bool
    ) -> None:
        """Called by Falcon when the answer is made, also of a request that failed."""
        milliseconds = round((perf_counter() - req.context.access_began) * 1e3, 3)
        identity = getattr(req.context, "identity", None)
        client = req.scope.get("client")
        facts = {
            "method": req.method,
            "path": req.path,
            "status": resp.status_code,
            "milliseconds": milliseconds,
            "bytes": len(resp.data) if resp.data is not None else None,
            "user": None if identity is None else identity.user_id,
            "tenant_id": None if identity is None else identity.tenant_id,
            "address": client[0] if client else None,
        }
        _log.info("%s %s %d, %s ms, %s bytes, user %s of %s, from %s", *facts.values(), extra={DATA: facts})
