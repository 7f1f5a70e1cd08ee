"""`GET <collection>?watch`: what a watcher is told, as Server-Sent Events.

Their form is that of the WHATWG's HTML standard, section 9.2 (`text/event-stream`), so a browser's
EventSource and `curl` can read them. The id of an event is where to go on after it (`Last-Event-ID`); an
event without one leaves the reader where it was, and the empty id of TOO_OLD makes it begin anew.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from falcon.asgi import Request, Response

from gluon.etcd.keys import Keys
from gluon.proton.feeds import Feeds
from gluon.proton.reads import Reads
from gluon.proton.view import Kind, View, shape_of
from gluon.proton.watch_request import watch_request
from gluon.proton.watcher import Telling, Tellings, Watcher
from gluon.proton.web.line import Line
from gluon.proton.web.places import Place
from gluon.proton.web.requests import QueryString

MEDIA_TYPE = "text/event-stream"

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment or a bookmark is sent, for proxies and for a client's timeouts."""

STALLED = 30.0
"""Seconds that a client may take nothing while there is something to send; then it is hung up on."""

STALLED_AT_THE_END = 1.0
"""The same, once the server stops: one that takes nothing would hold up its end for as long as may be."""

LIFETIME = 3600.0
"""Seconds after which a stream ends: who comes back is asked anew who it is and what it may see."""

RETRY = 1000
"""Milliseconds that a client is told to wait before it comes back."""

HEAD = "gluon.head"
"""In a request's scope: it came as HEAD."""


class Watches:
    """Answers requests to watch a collection."""

    def __init__(self, reads: Reads, feeds: Feeds, keys: Keys) -> None:
        self._reads = reads
        self._feeds = feeds
        self._keys = keys

    async def answer(self, req: Request, resp: Response, place: Place, query: QueryString) -> None:
        """Fill the response; raises what a list raises, and Unavailable without etcd."""
        hosted = place.hosted
        request = watch_request(hosted, query.pairs, req.get_header("Last-Event-ID"))
        scope = await self._reads.scope(
            req.context.identity, place.proton, hosted, request.filters, place.parent_key
        )
        resp.content_type = MEDIA_TYPE
        resp.set_header("Cache-Control", "no-store")
        # nginx would collect the events until they fill a buffer.
        resp.set_header("X-Accel-Buffering", "no")
        if req.scope.get(HEAD):
            return
        prefix = self._keys.objects(hosted.model.service, hosted.api.name)
        watcher = Watcher(self._feeds, prefix, shape_of(hosted), View(scope, request.fields))
        try:
            await watcher.open(request.start)
        except BaseException:
            watcher.close()
            raise
        resp.stream = EventStream(watcher, Line.of(req.scope), self._feeds)


class EventStream:
    """The body of the answer, chunk by chunk; Falcon closes it however the answer ends."""

    def __init__(self, watcher: Watcher, line: Line, feeds: Feeds) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._watcher = watcher
        self._tellings = watcher.tellings()
        self._line = line
        self._feeds = feeds
        self._ending = asyncio.ensure_future(line.ending.wait())
        self._ending.add_done_callback(self._soon_over)
        self._reading: asyncio.Task[Tellings | None] | None = None
        self._ends_at = loop.time() + LIFETIME * random.uniform(0.9, 1.0)
        self._stalled: asyncio.TimerHandle | None = None
        self._begun = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> bytes:
        self._taken()
        chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        # Asked for again when the client's connection has taken this, or never.
        self._stalled = self._loop.call_later(STALLED, self._hang_up)
        return chunk

    async def close(self) -> None:
        """Let go of everything; what is still to be sent goes with the connection."""
        self._taken()
        self._ending.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        await self._tellings.aclose()
        self._watcher.close()

    async def _next(self) -> bytes | None:
        if not self._begun:
            self._begun = True
            return f"retry: {RETRY}\n\n".encode()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        left = self._ends_at - self._loop.time()
        await asyncio.wait(
            (self._reading, self._ending),
            timeout=max(0.0, min(KEEP_ALIVE, left)),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._ending.done():
            return None
        if self._reading.done():
            tellings, self._reading = self._reading.result(), None
            return None if tellings is None else b"".join(map(encoded, tellings))
        if self._loop.time() >= self._ends_at:
            return None
        bookmark = self._watcher.bookmark()
        return b": nothing new\n\n" if bookmark is None else encoded(bookmark)

    async def _read(self) -> Tellings | None:
        return await anext(self._tellings, None)

    def _taken(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _soon_over(self, ending: asyncio.Future[Any]) -> None:
        if self._stalled is not None and not ending.cancelled():
            self._stalled.cancel()
            self._stalled = self._loop.call_later(STALLED_AT_THE_END, self._hang_up)

    def _hang_up(self) -> None:
        self._feeds.counters.dropped += 1
        self._line.abort()


def encoded(telling: Telling) -> bytes:
    """An event as it is sent. Its data is JSON, and so one line."""
    lines = [b"event: ", telling.kind.value.encode()]
    if telling.position is not None:
        lines += [b"\nid: ", str(telling.position).encode()]
    elif telling.kind is Kind.TOO_OLD:
        lines.append(b"\nid:")
    return b"".join([*lines, b"\ndata: ", telling.data, b"\n\n"])
