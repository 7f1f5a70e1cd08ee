"""The answer to a request that a stopping server can't see through.

When a stopping server's time is over, uvicorn cancels the tasks of the requests that are left, and answers
those that let it pass with a bare 500. Whoever gets that can't know what came of a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from falcon.asgi import Request, Response

from gluon.proton.errors import Stopping

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

Responder = Callable[..., Awaitable[None]]


class LastWord:
    """A resource with the responders of another, which raise Stopping when their task is cancelled.

    So the application answers, counts and logs such a request like any other that fails.
    """

    def __init__(self, resource: object) -> None:
        for name in dir(resource):
            if name.startswith("on_"):
                setattr(self, name, _with_last_word(getattr(resource, name)))


def _with_last_word(responder: Responder) -> Responder:
    @wraps(responder)
    async def answering(req: Request, resp: Response, **params: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await responder(req, resp, **params)
        except asyncio.CancelledError:
            # What the request waited for may have been cancelled instead, by mistake: that is no end of ours.
            if not task.cancelling():
                raise
            raise Stopping(_told(req.method)) from None

    return answering


def _told(method: str) -> str:
    if method in _READING:
        return "the server is stopping, and can't answer any more"
    # The transaction may have begun: then it is completed without us, before or after this answer.
    return "the server is stopping; whether the change was made can't be learnt; look before you try again"
