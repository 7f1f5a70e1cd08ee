"""What a shim knows of one service's objects: those that are there, and those that go.

An object that etcd has no longer stays among the departed until the backend has let go of it, so that
`binding.service` still leads somewhere when both are being deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gluon.shim.shelf import Document, ObjectId, Shelf, Stored, Term


class Inventory:
    """One service's objects; `live` are those in etcd, `departed` those that are still to be deleted."""

    def __init__(self, terms: Callable[[str], Callable[[Document], Iterable[Term]] | None]) -> None:
        self.live = Shelf(terms)
        self.departed = Shelf(terms)

    def put(self, object_id: ObjectId, stored: Stored) -> Stored | None:
        """An object that is in etcd; what it was before. Raises msgspec.DecodeError."""
        before = self.live.put(object_id, stored)
        if self.departed:
            self.departed.remove(object_id)
        return before

    def depart(self, object_id: ObjectId) -> Stored | None:
        """An object that etcd has no longer; what it was."""
        before = self.live.remove(object_id)
        if before is not None:
            self.departed.put(object_id, before)
        return before

    def find(self, term: Term, *, departed: bool) -> tuple[str, ...]:
        """The keys of the live objects that have a term; with `departed`, of those that go as well."""
        found = self.live.find(term)
        return (*found, *self.departed.find(term)) if departed else found
