"""Somebody who watches a collection over HTTP at one server, through all that befalls it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx

from gluon.client.event_stream import EventStreamParser

_PAUSE = 0.1
_SILENCE = 20.0
"""Seconds after which the server, which says something every 15, counts as gone."""


class WatchWitness:
    """Keeps the objects as the stream tells of them, resumes by `Last-Event-ID`, and sees none go back."""

    def __init__(self, url: str) -> None:
        self.events = 0
        self.resumed = 0
        self.begun_anew = 0
        self.complaints: list[str] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self._revisions: dict[str, int] = {}
        self._url = url
        self._last_id = ""
        self._listed: set[str] | None = None

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=httpx.Timeout(5.0, read=_SILENCE)) as http:
            while True:
                with suppress(httpx.TransportError):
                    await self._follow(http)
                await asyncio.sleep(_PAUSE)

    async def _follow(self, http: httpx.AsyncClient) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        if not self._last_id:
            self._listed = set()
        parser = EventStreamParser(self._last_id)
        async with http.stream("GET", f"{self._url}?watch", headers=headers) as answer:
            if answer.status_code != 200:
                return
            self.resumed += bool(self._last_id)
            self.begun_anew += not self._last_id
            async for piece in answer.aiter_raw():
                for event in parser.feed(piece):
                    self._see(event.name, json.loads(event.data))
                    self._last_id = event.last_id

    def _see(self, name: str, document: dict[str, Any]) -> None:
        self.events += 1
        if name == "BOOKMARK":
            if document.get("snapshot_complete") and self._listed is not None:
                self.objects = {key: self.objects[key] for key in self._listed}
                self._listed = None
            return
        if name == "TOO_OLD":
            return
        key, revision = document["id"], document["revision_number"]
        if name == "DELETED":
            self.objects.pop(key, None)
            return
        if revision < self._revisions.get(key, 0):
            self.complaints.append(f"{key} came at {revision} after {self._revisions[key]}")
        self._revisions[key] = revision
        self.objects[key] = document
        if self._listed is not None:
            self._listed.add(key)
