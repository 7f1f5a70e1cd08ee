"""`GET /controllers`: the shim servers that are alive, as they say of themselves under their leases."""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.keys import Keys
from gluon.proton.errors import Forbidden, Unavailable
from gluon.proton.web.requests import QueryString


class Controllers:
    """GET, for administrators: `{"controllers": [...]}`, by name; one that has died is not in it.

    Each is `{"name", "hosts", "services": {service: backend}, "started", "host", "version", "alive"}`.
    """

    def __init__(self, etcd: Etcd, keys: Keys) -> None:
        self._etcd = etcd
        self._keys = keys

    async def on_get(self, req: Request, resp: Response) -> None:
        """What etcd has now."""
        QueryString.of(req).allow()
        if "admin" not in req.context.identity.roles:
            raise Forbidden("controllers are for administrators to see")
        try:
            listing = await self._etcd.list(self._keys.controllers())
        except EtcdError as error:
            raise Unavailable("etcd, where controllers say that they are alive, can't be reached") from error
        found = [_shown(self._keys.parse(item.key).segments[-1], item.value) for item in listing.items]
        resp.content_type = "application/json"
        resp.set_header("Cache-Control", "no-store")
        resp.data = msgspec.json.encode({"controllers": found})


def _shown(name: str, value: bytes) -> dict[str, Any]:
    try:
        says = msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        says = {}
    handlers = says.get("handlers")
    return {
        "name": name,
        "hosts": says.get("hosts") or [],
        "services": handlers if isinstance(handlers, dict) else {},
        # A shim of an older release doesn't tell.
        "started": says.get("started_at"),
        "host": says.get("host"),
        "version": says.get("version"),
        # Its lease would have taken the key away.
        "alive": True,
    }
