"""Reading objects: one by its key, or a page of a collection, as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gluon.proton.errors import Forbidden, MalformedRequest, Wrong
from gluon.proton.identity import Identity
from gluon.proton.listing import ListRequest
from gluon.proton.operations import Operations, Target
from gluon.proton.registry import HostedObject, Proton
from gluon.store.database import Database, Transaction
from gluon.store.paging import MarkerNotFound, Page, PageQuery, Row


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a collection is asked for and may be seen: the values that attributes may have, whose objects.

    `tenant` is None for a caller that may see every tenant's.
    """

    filters: Mapping[str, Sequence[Any]]
    tenant: str | None


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
        scope = self._scope(identity, proton, hosted, request.filters, parent_key)
        query = PageQuery(
            limit=request.limit,
            filters=scope.filters,
            sort=request.sort,
            marker=request.marker,
            tenant=scope.tenant,
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

    async def scope(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        filters: Mapping[str, Sequence[Any]],
        parent_key: Any = None,
    ) -> Scope:
        """What a list of the collection, or of a parent's children, would hold for the caller.

        Raises Forbidden, and NotFound (no such parent).
        """
        scope = self._scope(identity, proton, hosted, filters, parent_key)
        if parent_key is not None:

            async def work(tx: Transaction) -> None:
                await self._operations.require_parent(tx, identity, proton, hosted, parent_key)

            await self._database.read(work)
        return scope

    def _scope(
        self,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        filters: Mapping[str, Sequence[Any]],
        parent_key: Any,
    ) -> Scope:
        chosen = dict(filters)
        if parent_key is not None and hosted.api.parent_key is not None:
            given = chosen.get(hosted.api.parent_key)
            chosen[hosted.api.parent_key] = (parent_key,) if given is None or parent_key in given else ()
        return Scope(chosen, self._only_tenant(identity, proton, hosted))

    @staticmethod
    def _only_tenant(identity: Identity, proton: Proton, hosted: HostedObject) -> str | None:
        """The tenant whose objects alone the caller may list; None when it may list all."""
        if proton.authorizer.may_list_all(identity, hosted.api):
            return None
        tenant = identity.tenant_id
        if tenant is None or "tenant_id" not in hosted.api.attributes:
            raise Forbidden(f"the access rules don't let you list {hosted.api.plural}")
        return tenant
