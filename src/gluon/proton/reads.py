"""Reading objects: one by its key, or a page of a collection, as far as the caller may see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gluon.particle.queries import filtered_attribute
from gluon.particle.spelling import did_you_mean
from gluon.particle.validators import InvalidBody
from gluon.proton.documents import SERVER_FIELDS
from gluon.proton.errors import Forbidden, MalformedRequest, Wrong
from gluon.proton.identity import Identity
from gluon.proton.operations import Operations, Row, Target
from gluon.proton.registry import HostedObject, Proton
from gluon.store.database import Database, Transaction
from gluon.store.paging import MarkerNotFound, Page, PageQuery, Sort

LIST_PARAMETERS = ("limit", "marker", "sort_key", "sort_dir", "fields")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What a list request asks for, checked against the model."""

    limit: int
    marker: Any = None
    sort: tuple[Sort, ...] = ()
    filters: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


def list_request(hosted: HostedObject, pairs: tuple[tuple[str, str], ...], max_limit: int) -> ListRequest:
    """Check the query of a list request; raises MalformedRequest with everything that is wrong in it."""
    wrong: list[Wrong] = []
    limit, marker = max_limit, None
    sort_keys: list[str] = []
    sort_directions: list[str] = []
    filters: dict[str, list[Any]] = {}
    fields: list[str] = []
    shown = (*hosted.api.attributes, *SERVER_FIELDS)
    for name, text in pairs:
        if name == "limit":
            if text.isascii() and text.isdigit() and int(text[:20]) > 0:
                limit = min(int(text[:20]), max_limit)
            else:
                wrong.append(Wrong(name, "must be an integer from 1 up"))
        elif name == "marker":
            marker = hosted.validator.key_from_path(text)
            if marker is None:
                wrong.append(Wrong(name, f"must be the {hosted.api.key} of the last object of a page"))
        elif name == "sort_key":
            sort_keys += text.split(",")
        elif name == "sort_dir":
            sort_directions += text.split(",")
        elif name == "fields":
            fields += [part for part in text.split(",") if part]
        elif (attribute := filtered_attribute(name)) is not None:
            try:
                filters.setdefault(attribute, []).append(hosted.validator.parse_query(attribute, text))
            except InvalidBody as error:
                known = did_you_mean(name, (*hosted.api.attributes, *LIST_PARAMETERS))
                unknown = attribute not in hosted.api.attributes
                message = f"unknown query parameter{known}" if unknown else error.errors[0].message
                wrong.append(Wrong(name, message))
        else:
            wrong.append(Wrong(name, "unknown query parameter"))
    wrong += [
        Wrong(parameter, f"there is no attribute {name!r}{did_you_mean(name, shown)}")
        for parameter, names in (("sort_key", sort_keys), ("fields", fields))
        for name in names
        if name not in shown
    ]
    wrong += [Wrong("sort_dir", "must be asc or desc") for d in sort_directions if d not in ("asc", "desc")]
    if len(sort_directions) > max(1, len(sort_keys)):
        wrong.append(Wrong("sort_dir", "is given more often than sort_key"))
    if wrong:
        raise MalformedRequest("the query has wrong parameters", wrong)
    sort_keys = sort_keys or [hosted.api.key]
    directions = [*sort_directions, *["asc"] * len(sort_keys)]
    return ListRequest(
        limit=limit,
        marker=marker,
        sort=tuple((name, d == "desc") for name, d in zip(sort_keys, directions, strict=False)),
        filters={name: tuple(values) for name, values in filters.items()},
        fields=tuple(fields),
    )


class Reads:
    """Reads for the objects of every Proton; each is a constant number of queries on one snapshot."""

    def __init__(self, database: Database, operations: Operations) -> None:
        self._database = database
        self._operations = operations

    async def get(self, identity: Identity, proton: Proton, hosted: HostedObject, target: Target) -> Row:
        """The object that a path names; raises NotFound."""

        async def work(tx: Transaction) -> Row:
            return await self._operations.require(tx, identity, proton, hosted, target, "get")

        return await self._database.read(work)

    async def page(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        request: ListRequest,
        parent_key: Any = None,
    ) -> Page:
        """A page of a collection, or of a parent's children.

        Raises Forbidden, NotFound (no such parent), MalformedRequest (a marker that is gone).
        """
        filters = dict(request.filters)
        if parent_key is not None and hosted.api.parent_key is not None:
            given = filters.get(hosted.api.parent_key)
            filters[hosted.api.parent_key] = (parent_key,) if given is None or parent_key in given else ()
        query = PageQuery(
            limit=request.limit,
            filters=filters,
            sort=request.sort,
            marker=request.marker,
            tenant=self._only_tenant(identity, proton, hosted),
        )

        async def work(tx: Transaction) -> Page:
            if parent_key is not None:
                await self._operations.require_parent(tx, identity, proton, hosted, parent_key)
            try:
                return await hosted.repository.page(tx, query)
            except MarkerNotFound as error:
                message = "names an object that is gone; start again at the first page"
                raise MalformedRequest("the marker is gone", [Wrong("marker", message)]) from error

        return await self._database.read(work)

    @staticmethod
    def _only_tenant(identity: Identity, proton: Proton, hosted: HostedObject) -> str | None:
        """The tenant whose objects alone the caller may list; None when it may list all."""
        if proton.authorizer.may_list_all(identity, hosted.api):
            return None
        tenant = identity.tenant_id
        if tenant is None or "tenant_id" not in hosted.api.attributes:
            raise Forbidden(f"the access rules don't let you list {hosted.api.plural}")
        return tenant
