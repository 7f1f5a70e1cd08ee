"""`<object>/status`: what each controller made of an object, read from the controllers' own journals."""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.keys import Keys
from gluon.model.model import Role
from gluon.particle.texts import text_of_key
from gluon.proton.controllers import ControllersByService, is_meant
from gluon.proton.errors import Unavailable
from gluon.proton.operations import Target
from gluon.proton.reads import Reads
from gluon.proton.web.places import CurrentRegistry, Place, find_place
from gluon.proton.web.requests import QueryString

_SHOWN = ("state", "reason", "revision_number", "time", "backend")
_UNSEEN = "no controller of this name or backend has had to do with it yet"


class ObjectStatus:
    """GET: `{"status": [{"controller", "state", "reason", "revision_number", "time"}]}`.

    For ports that wait for controllers also `backend`, and whether it is `required`.
    """

    def __init__(
        self,
        registry: CurrentRegistry,
        reads: Reads,
        etcd: Etcd,
        keys: Keys,
        controllers: ControllersByService,
    ) -> None:
        self._controllers = controllers
        self._registry = registry
        self._reads = reads
        self._etcd = etcd
        self._keys = keys

    async def on_get(self, req: Request, resp: Response, **segments: str) -> None:
        """One entry for each controller that has had to do with the object, or must have."""
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
        self._say_what_is_required(place, entries)
        resp.content_type = "application/json"
        resp.data = msgspec.json.encode({"status": entries})

    def _say_what_is_required(self, place: Place, entries: list[dict[str, Any]]) -> None:
        service = place.proton.model.service
        names = self._controllers.required(service) if place.hosted.role is Role.PORT else ()
        if not names:
            for entry in entries:
                entry.pop("backend", None)
            return
        meant_by = {
            name: [e for e in entries if is_meant(name, service, e["controller"], e.get("backend"))]
            for name in names
        }
        for entry in entries:
            entry["required"] = any(entry in meant for meant in meant_by.values())
        for name in (name for name, meant in meant_by.items() if not meant):
            nothing = dict.fromkeys(_SHOWN)
            entries.append(
                {"controller": name, **nothing, "state": "PENDING", "reason": _UNSEEN, "required": True}
            )

    def _entry(self, key: str, value: bytes) -> dict[str, Any]:
        controller = self._keys.parse(key).segments[-1]
        try:
            journal = msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            return {"controller": controller, "state": "UNKNOWN", "reason": "its journal can't be read"}
        return {"controller": controller} | {name: journal.get(name) for name in _SHOWN}
