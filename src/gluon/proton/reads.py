"""Reading objects: one by its key, or a page of a collection, as far as the caller may see them."""

from __future__ import annotations

from typing import Any

from gluon.proton.errors import Forbidden, MalformedRequest, Wrong
from gluon.proton.identity import Identity
from gluon.proton.listing import ListRequest
from gluon.proton.operations import Operations, Target
from gluon.proton.registry import HostedObject, Proton
from gluon.store.database import Database, Transaction
from gluon.store.paging import MarkerNotFound, Page, PageQuery, Row


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
