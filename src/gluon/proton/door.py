"""The one door that every change of objects goes through, whoever asked for it.

Life of a write: a work changes rows in a transaction and says what it changed → the etcd entries that
follow go into the outbox in that transaction → it is committed → the audit notes it → it is answered. A
dry run goes the same way up to the outbox, and is undone there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias, TypeVar

from gluon.log.traces import current_trace
from gluon.model.model import Role
from gluon.proton.audit import AuditLog
from gluon.proton.change import Change
from gluon.proton.documents import EtcdDocuments
from gluon.proton.references import leaves_nothing_dangling
from gluon.proton.registry import Proton
from gluon.proton.write_request import Author
from gluon.store.bindings import InactiveBinding
from gluon.store.database import Database, Transaction
from gluon.store.outbox import Outbox

T = TypeVar("T")

Work: TypeAlias = Callable[[Transaction, list[Change]], Coroutine[Any, Any, T]]
"""Changes rows, and adds to the list what it changed, in the order in which etcd is to learn of it."""

WriteObserver = Callable[[float, Exception | None], None]
"""Told of each transaction that is over: the seconds that it took, and what it failed with."""


def _ignored(seconds: float, error: Exception | None) -> None:
    """Nobody observes."""


class Door:
    """Carries works out, and sees to all that has to follow from them."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        documents: EtcdDocuments,
        audit: AuditLog,
        observe: WriteObserver = _ignored,
    ) -> None:
        """`observe` must not raise."""
        self._observe = observe
        self._database = database
        self._outbox = outbox
        self._documents = documents
        self._audit = audit

    async def write(self, author: Author, work: Work[T]) -> T:
        """Do it; what the work returned, once it is committed and noted. Raises what the work raises."""
        # A database may run the work in another thread, which knows nothing of this task.
        trace = current_trace()

        async def whole(tx: Transaction) -> tuple[T, list[Change]]:
            changes: list[Change] = []
            result = await work(tx, changes)
            if changes:
                entries = self._documents.entries(changes, await _bindings(tx, changes))
                await self._outbox.add(tx, entries, trace)
            return result, changes

        began = time.perf_counter()
        try:
            result, changes = await self._database.write(whole)
        except Exception as error:
            self._observe(time.perf_counter() - began, error)
            raise
        self._observe(time.perf_counter() - began, None)
        self._audit.written(author, changes)
        return result

    async def rehearse(self, proton: Proton, work: Work[T]) -> T:
        """Tell what `write` would return or raise, and change nothing; no outbox, no audit."""

        async def whole(tx: Transaction) -> T:
            changes: list[Change] = []
            result = await work(tx, changes)
            await leaves_nothing_dangling(tx, proton, changes)
            return result

        return await self._database.rehearse(whole)


async def _bindings(tx: Transaction, changes: Iterable[Change]) -> dict[str, tuple[InactiveBinding, ...]]:
    """The inactive bindings of the ports that were changed: those that were created have none yet."""
    return {
        change.key: await change.hosted.ports.bindings.of_port(tx, change.key)
        for change in changes
        if change.hosted.role is Role.PORT and change.before is not None and change.after is not None
    }
