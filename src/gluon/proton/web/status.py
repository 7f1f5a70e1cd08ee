"""`<object>/status`: what each controller made of an object, read from the controllers' own journals."""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.keys import Keys
from gluon.particle.texts import text_of_key
from gluon.proton.errors import Unavailable
from gluon.proton.operations import Target
from gluon.proton.reads import Reads
from gluon.proton.web.places import CurrentRegistry, find_place
from gluon.proton.web.requests import QueryString

_SHOWN = ("state", "reason", "revision_number", "time")


class ObjectStatus:
    """GET: `{"status": [{"controller", "state", "reason", "revision_number", "time"}]}`."""

    def __init__(self, registry: CurrentRegistry, reads: Reads, etcd: Etcd, keys: Keys) -> None:
        self._registry = registry
        self._reads = reads
        self._etcd = etcd
        self._keys = keys

    async def on_get(self, req: Request, resp: Response, **segments: str) -> None:
        """One entry for each controller that has had to do with the object."""
        place = find_place(self._registry(), **segments)
        QueryString.of(req).allow()
        row = await self._reads.get(
            req.context.identity, place.proton, place.hosted, Target(place.key, place.parent_key)
        )
        key = text_of_key(row[place.hosted.api.key])
        prefix = self._keys.statuses(place.proton.model.service, place.hosted.api.name, key)
        try:
            listing = await self._etcd.list(prefix)
        except EtcdError as error:
            raise Unavailable("etcd, where controllers write their status, can't be reached") from error
        entries = [self._entry(item.key, item.value) for item in listing.items]
        resp.content_type = "application/json"
        resp.data = msgspec.json.encode({"status": entries})

    def _entry(self, key: str, value: bytes) -> dict[str, Any]:
        controller = self._keys.parse(key).segments[-1]
        try:
            journal = msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            return {"controller": controller, "state": "UNKNOWN", "reason": "its journal can't be read"}
        return {"controller": controller} | {name: journal.get(name) for name in _SHOWN}
