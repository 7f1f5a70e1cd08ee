"""The bindings of a port: `/ports/<id>/bindings[/<host>[/activate]]`.

Their revision is the port's: ETag and If-Match are those of the port itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.etcd.keys import segment
from gluon.model.model import Role
from gluon.proton.binder import Binder
from gluon.proton.errors import NotFound
from gluon.proton.port_bindings import PortBindings
from gluon.proton.web.objects import Collection, Item, allowed, target_of, write_request
from gluon.proton.web.places import CurrentRegistry, find_place
from gluon.proton.web.requests import QueryString, decoded, etag, json_body, none_match
from gluon.proton.web.status import ObjectStatus

_encode = msgspec.json.Encoder().encode


class PortBindingCollection:
    """GET lists a port's bindings, POST creates an inactive one. Below other objects: their children."""

    def __init__(
        self,
        registry: CurrentRegistry,
        bindings: PortBindings,
        binder: Binder,
        children: Collection,
        max_body: int,
    ) -> None:
        self._registry = registry
        self._bindings = bindings
        self._binder = binder
        self._children = children
        self._max_body = max_body

    async def on_get(self, req: Request, resp: Response, **segments: str) -> None:
        """All of them, the active one first."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is not Role.PORT:
            await self._children.on_get(req, resp, **segments, child="bindings")
            return
        QueryString.of(req).allow()
        identity = req.context.identity
        port = await self._bindings.get(identity, place.proton, place.hosted, target_of(req, place))
        if not _is_known(req, resp, port.revision):
            _show(resp, {"bindings": port.documents()}, port.revision)

    async def on_post(self, req: Request, resp: Response, **segments: str) -> None:
        """Make the port ready on another host; 201 when a controller has answered, or time is up."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is not Role.PORT:
            await self._children.on_post(req, resp, **segments, child="bindings")
            return
        request = write_request(req, allowed(req))
        body = await json_body(req, self._max_body)
        port, host = await self._binder.add_binding(
            request, place.proton, place.hosted, target_of(req, place), body
        )
        _show(resp, port.document(host), port.revision)
        resp.status = 201
        path = f"{place.hosted.path(place.key)}/bindings/{segment(host)}"
        resp.set_header("Location", req.context.base_url + path)


class PortBindingItem:
    """GET shows a binding, PUT changes its profile, DELETE unbinds its host."""

    def __init__(
        self,
        registry: CurrentRegistry,
        bindings: PortBindings,
        binder: Binder,
        children: Item,
        max_body: int,
    ) -> None:
        self._registry = registry
        self._bindings = bindings
        self._binder = binder
        self._children = children
        self._max_body = max_body

    async def on_get(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """The binding on a host."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is not Role.PORT:
            await self._children.on_get(req, resp, **segments, child="bindings", child_key=host)
            return
        QueryString.of(req).allow()
        identity = req.context.identity
        port = await self._bindings.get(identity, place.proton, place.hosted, target_of(req, place))
        document = port.document(decoded(host))
        if not _is_known(req, resp, port.revision):
            _show(resp, document, port.revision)

    async def on_put(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """Change its profile; a bind that has failed is tried once more if the body names the host."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is not Role.PORT:
            await self._children.on_put(req, resp, **segments, child="bindings", child_key=host)
            return
        request = write_request(req, allowed(req))
        body = await json_body(req, self._max_body)
        name = decoded(host)
        port = await self._binder.change_binding(
            request, place.proton, place.hosted, target_of(req, place), name, body
        )
        _show(resp, port.document(name), port.revision)

    async def on_patch(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """The same as PUT."""
        await self.on_put(req, resp, host, **segments)

    async def on_delete(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """Unbind that host only."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is not Role.PORT:
            await self._children.on_delete(req, resp, **segments, child="bindings", child_key=host)
            return
        request = write_request(req, allowed(req))
        target = target_of(req, place)
        await self._binder.remove_binding(request, place.proton, place.hosted, target, decoded(host))
        resp.status = 204


class PortBindingActivation:
    """PUT makes an inactive binding the active one, and that an inactive one."""

    def __init__(self, registry: CurrentRegistry, binder: Binder) -> None:
        self._registry = registry
        self._binder = binder

    async def on_put(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """The binding, active now. A body is not looked at: there is nothing to say."""
        place = find_place(self._registry(), **segments)
        name = decoded(host)
        if place.hosted.role is not Role.PORT:
            raise NotFound(f"{place.hosted.api.plural} are not bound to hosts")
        request = write_request(req, allowed(req))
        target = target_of(req, place)
        port = await self._binder.activate_binding(request, place.proton, place.hosted, target, name)
        _show(resp, port.document(name), port.revision)


class ChildStatus:
    """`…/bindings/<key>/status` of children that are called so; a port's binding has none of its own."""

    def __init__(self, registry: CurrentRegistry, status: ObjectStatus) -> None:
        self._registry = registry
        self._status = status

    async def on_get(self, req: Request, resp: Response, host: str, **segments: str) -> None:
        """As of any other child."""
        place = find_place(self._registry(), **segments)
        if place.hosted.role is Role.PORT:
            raise NotFound("a binding has no status of its own: its port has")
        await self._status.on_get(req, resp, **segments, child="bindings", child_key=host)


def _is_known(req: Request, resp: Response, revision: int) -> bool:
    """Whether the caller has this revision of the port; the answer is 304 then."""
    if not none_match(req, revision):
        return False
    resp.status = 304
    resp.set_header("ETag", etag(revision))
    return True


def _show(resp: Response, document: dict[str, Any], revision: int) -> None:
    resp.content_type = "application/json"
    resp.set_header("ETag", etag(revision))
    resp.data = _encode(document)
