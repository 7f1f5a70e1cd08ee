"""What tells a row of the database from what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gluon.shim.backends.ovn.rows import Row, RowId, Value, row_id

OWNER, SERVICE, ROW, PARENT, CONTROLLER = (
    f"gluon:{name}" for name in ("owner", "service", "row", "parent", "controller")
)
"""Keys of external_ids that say whose a row is, of which service, which one, where it lives, who made it."""


class Tags(NamedTuple):
    """What all rows of one backend bear."""

    owner: str
    service: str
    controller: str

    def of(self, row: Row) -> dict[str, str]:
        """A row's external_ids."""
        tags = {OWNER: self.owner, SERVICE: self.service, ROW: str(row.id), CONTROLLER: self.controller}
        return tags | ({PARENT: str(row.parent)} if row.parent is not None else {})

    def read(self, external_ids: Mapping[str, str]) -> RowId | None:
        """Which row of this backend's these are of; None for others'."""
        if external_ids.get(OWNER) != self.owner or external_ids.get(SERVICE) != self.service:
            return None
        try:
            return row_id(external_ids.get(ROW, ""))
        except ValueError:
            # Of a newer Gluon.
            return None


def different(row: Row, found: Mapping[str, Any]) -> dict[str, Value]:
    """The columns that must be set for a row of the database to be as it should.

    `found` are its columns as python-ovs has them: sets as lists; a reference is the RowId of its row, in a
    list too.
    """
    return {name: value for name, value in row.columns.items() if _comparable(found[name]) != _plain(value)}


def different_tags(tags: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """The external_ids that are missing or wrong; others may add more. Whoever made the row, made it."""
    return {
        name: text
        for name, text in tags.items()
        if found.get(name) != text and not (name == CONTROLLER and name in found)
    }


def _comparable(found: Any) -> Any:
    return frozenset(found) if isinstance(found, list) else found


def _plain(value: Value) -> Any:
    return frozenset((value,)) if isinstance(value, RowId) else value
