"""Collections and objects of every Proton: `/proton/<service>/<version>/<plural>[/<key>]`, and children.

Every write takes `?dry_run=true`: it answers as it would, and changes nothing.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from falcon.asgi import Request, Response

from gluon.particle.texts import text_of_key
from gluon.proton.binder import Binder
from gluon.proton.documents import object_document
from gluon.proton.errors import MalformedRequest, PreconditionFailed, Unprocessable, Wrong
from gluon.proton.listing import chosen_fields, list_request
from gluon.proton.operations import Target
from gluon.proton.options import Settings
from gluon.proton.reads import Reads
from gluon.proton.registry import HostedObject
from gluon.proton.web.places import CurrentRegistry, Place, find_place
from gluon.proton.web.requests import QueryString, etag, json_body, none_match, precondition
from gluon.proton.web.watch import Watches
from gluon.proton.write_request import WriteRequest
from gluon.store.paging import Page, Row

_encode = msgspec.json.Encoder().encode


class Collection:
    """GET lists, POST creates: one object, or `{"<plural>": [...]}` all or nothing."""

    def __init__(
        self,
        registry: CurrentRegistry,
        reads: Reads,
        binder: Binder,
        watches: Watches,
        settings: Settings,
    ) -> None:
        self._registry = registry
        self._reads = reads
        self._binder = binder
        self._watches = watches
        self._settings = settings

    async def on_get(self, req: Request, resp: Response, **segments: str) -> None:
        """A page of the collection, or with `?watch` what changes in it, for as long as the client stays."""
        place = find_place(self._registry(), **segments)
        query = QueryString.of(req)
        if query.flag("watch"):
            await self._watches.answer(req, resp, place, query)
            return
        query = query.without("watch")
        request = list_request(place.hosted, query.pairs, self._settings.max_limit)
        page = await self._reads.page(
            req.context.identity, place.proton, place.hosted, request, place.parent_key
        )
        plural = place.hosted.api.plural
        documents = [_chosen(object_document(place.hosted, row), request.fields) for row in page.rows]
        answer: dict[str, Any] = {plural: documents}
        if page.more:
            answer[f"{plural}_links"] = [_next_link(req, place, query, page)]
        resp.content_type = "application/json"
        resp.data = _encode(answer)

    async def on_post(self, req: Request, resp: Response, **segments: str) -> None:
        """Create; 201 with the stored object or objects."""
        place = find_place(self._registry(), **segments)
        request = write_request(req, allowed(req))
        body = await json_body(req, self._settings.max_body)
        plural = place.hosted.api.plural
        bulk = isinstance(body, dict) and isinstance(body.get(plural), list)
        if bulk and len(body) > 1:
            others = [Wrong(name, f"stands beside {plural!r}") for name in body if name != plural]
            raise MalformedRequest(f"a bulk create holds {plural!r} alone", others)
        if bulk and len(body[plural]) > self._settings.max_bulk:
            most = f"holds {len(body[plural])} objects; one request creates at most {self._settings.max_bulk}"
            raise Unprocessable([Wrong(plural, most)])
        rows = await self._binder.create(
            request,
            place.proton,
            place.hosted,
            body[plural] if bulk else [body],
            parent_key=place.parent_key,
            bulk=bulk,
        )
        resp.status = 201
        resp.content_type = "application/json"
        if bulk:
            resp.data = _encode({plural: [object_document(place.hosted, row) for row in rows]})
            return
        resp.set_header("Location", req.context.base_url + place.hosted.path(rows[0][place.hosted.api.key]))
        _show(resp, place.hosted, rows[0])


class Item:
    """GET shows, PUT and PATCH change what they give, DELETE deletes."""

    def __init__(self, registry: CurrentRegistry, reads: Reads, binder: Binder, max_body: int) -> None:
        self._registry = registry
        self._reads = reads
        self._binder = binder
        self._max_body = max_body

    async def on_get(self, req: Request, resp: Response, **segments: str) -> None:
        """The object, or 304 where the caller has this revision."""
        place = find_place(self._registry(), **segments)
        query = QueryString.of(req)
        query.allow("fields")
        fields = chosen_fields(place.hosted, query.pairs)
        row = await self._reads.get(req.context.identity, place.proton, place.hosted, target_of(req, place))
        if none_match(req, row["revision_number"]):
            resp.status = 304
            resp.set_header("ETag", etag(row["revision_number"]))
            return
        _show(resp, place.hosted, row, fields)

    async def on_put(self, req: Request, resp: Response, **segments: str) -> None:
        """Change what the body gives and nothing else; null clears."""
        place = find_place(self._registry(), **segments)
        request = write_request(req, allowed(req))
        if (req.get_header("If-None-Match") or "").strip() == "*":
            raise PreconditionFailed("PUT changes objects that exist, and If-None-Match: * asks for none")
        body = await json_body(req, self._max_body)
        row = await self._binder.update(request, place.proton, place.hosted, target_of(req, place), body)
        _show(resp, place.hosted, row)

    async def on_patch(self, req: Request, resp: Response, **segments: str) -> None:
        """The same as PUT."""
        await self.on_put(req, resp, **segments)

    async def on_delete(self, req: Request, resp: Response, **segments: str) -> None:
        """Delete, with `?cascade=true` also what refers to the object."""
        place = find_place(self._registry(), **segments)
        query = allowed(req, "cascade")
        request = write_request(req, query)
        await self._binder.delete(
            request, place.proton, place.hosted, target_of(req, place), query.flag("cascade")
        )
        resp.status = 204


def allowed(req: Request, *names: str) -> QueryString:
    """The query of a write, which may have these parameters and those of all writes."""
    query = QueryString.of(req)
    query.allow("dry_run", *names)
    return query


def write_request(req: Request, query: QueryString) -> WriteRequest:
    """Who asks for a write, and whether it is to be done."""
    client = req.scope.get("client")
    return WriteRequest(
        req.context.identity,
        address=client[0] if client else None,
        request_id=req.context.request_id,
        dry_run=query.flag("dry_run"),
    )


def target_of(req: Request, place: Place) -> Target:
    """The object that a path names, at the revision that If-Match names."""
    return Target(place.key, place.parent_key, precondition(req))


def _show(resp: Response, hosted: HostedObject, row: Row, fields: tuple[str, ...] = ()) -> None:
    resp.content_type = "application/json"
    resp.set_header("ETag", etag(row["revision_number"]))
    resp.data = _encode(_chosen(object_document(hosted, row), fields))


def _chosen(document: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: document[name] for name in document if name in fields} if fields else document


def _next_link(req: Request, place: Place, query: QueryString, page: Page) -> dict[str, str]:
    marker = text_of_key(page.rows[-1][place.hosted.api.key])
    pairs = [(name, text) for name, text in query.pairs if name != "marker"] + [("marker", marker)]
    return {
        "href": f"{req.context.base_url}{place.collection_path}?{urlencode(pairs)}",
        "rel": "next",
    }
