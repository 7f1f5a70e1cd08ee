"""What a write did to one object: the row before and after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gluon.particle.tables import REVISION_NUMBER
from gluon.proton.registry import HostedObject
from gluon.store.paging import Row

_NOT_READ = object()

BINDINGS = ("bindings",)
"""What a port's change is called that is one of its inactive bindings."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object that a transaction created (`before` is None), changed, or deleted (`after` is None)."""

    hosted: HostedObject
    before: Row | None
    after: Row | None
    also: tuple[str, ...] = ()
    """What changed that is no attribute."""
    ended: tuple[str, ...] = ()
    """The hosts on which a port had inactive bindings that are none any more."""

    @classmethod
    def settled(cls, hosted: HostedObject, row: Row, names: Iterable[str]) -> Change:
        """A port whose bind was settled by one UPDATE, which changed these attributes of a row not read."""
        unknown = dict.fromkeys(names, _NOT_READ)
        return cls(hosted, {**row, **unknown, REVISION_NUMBER: row[REVISION_NUMBER] - 1}, row)

    @property
    def row(self) -> Row:
        """The object as it is, or as it was last."""
        row = self.after if self.after is not None else self.before
        assert row is not None, "a change has at least one side"
        return row

    @property
    def key(self) -> Any:
        """The object's identifying key."""
        return self.row[self.hosted.api.key]

    @property
    def action(self) -> str:
        """`create`, `update` or `delete`, as access rules call it."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"

    @property
    def changed(self) -> tuple[str, ...]:
        """What an update changed: attributes, and for a port its `bindings`."""
        before, after = self.before, self.after
        if before is None or after is None:
            return ()
        names = self.hosted.api.attributes
        return (*(name for name in names if before[name] != after[name]), *self.also)
