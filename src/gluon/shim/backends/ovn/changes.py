"""One transaction: rows of the database are made what they should be, computed against what is there now.

It is a command of ovsdbapp, which runs it again when the database has changed under it. What it does is
therefore decided in here, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ovsdbapp.backend.ovs_idl.command import BaseCommand

from gluon.shim.backends.ovn.difference import PARENT, Tags, different, different_tags
from gluon.shim.backends.ovn.index import RowIndex
from gluon.shim.backends.ovn.rows import MEMBERS, Row, RowId, Value


@dataclass(slots=True)
class Changes:
    """The rows that a transaction has changed."""

    made: list[RowId] = field(default_factory=list)
    altered: list[RowId] = field(default_factory=list)
    removed: list[RowId] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.made or self.altered or self.removed)

    def __str__(self) -> str:
        parts = (("made", self.made), ("changed", self.altered), ("removed", self.removed))
        return "; ".join(f"{word} {', '.join(map(str, ids))}" for word, ids in parts if ids)


class ApplyRows(BaseCommand):  # type: ignore[misc]  # ovsdbapp has no types
    """Make rows what they should be; None for those that shouldn't be. The result is a `Changes`."""

    def __init__(self, api: Any, index: RowIndex, tags: Tags, wanted: Mapping[RowId, Row | None]) -> None:
        super().__init__(api)
        self._index = index
        self._tags = tags
        self._wanted = wanted

    def run_idl(self, txn: Any) -> None:
        """Put all of it in the transaction; called by ovsdbapp in the connection's thread."""
        work = _Work(self.api.idl, txn, self._index, self._tags, self._wanted)
        for id, row in self._wanted.items():
            if row is None:
                work.remove(id)
            else:
                work.put(row)
        self.result = work.changes

    def __str__(self) -> str:
        return f"{type(self).__name__}({len(self._wanted)} rows)"

    # ovsdbapp puts it in the text of its exceptions.
    __repr__ = __str__


class _Work:
    """One run of the command."""

    def __init__(
        self, idl: Any, txn: Any, index: RowIndex, tags: Tags, wanted: Mapping[RowId, Row | None]
    ) -> None:
        self.changes = Changes()
        self._idl = idl
        self._txn = txn
        self._index = index
        self._tags = tags
        self._wanted = wanted
        self._there: dict[RowId, Any] = {}

    def put(self, row: Row) -> Any:
        """Have a row be there as it should; it."""
        if row.id in self._there:
            return self._there[row.id]
        found = self._index.rows(row.id)
        kept = min(found, key=lambda other: str(other.uuid)) if found else None
        if kept is not None and row.ours and self._lives_elsewhere(row, kept):
            # OVN takes a port that changes its switch for the same port; made anew, all about it is new.
            kept = None
        elif len(found) > 1 and kept is not None:
            self._remove(row.id, [other for other in found if other is not kept])
        if kept is None:
            if not row.ours:
                return None
            self._remove(row.id, found)
            kept = self._insert(row)
        elif row.ours:
            self._alter(row, kept)
        self._there[row.id] = kept
        return kept

    def remove(self, id: RowId) -> None:
        """Have a row not be there."""
        self._remove(id, self._index.rows(id))

    def _insert(self, row: Row) -> Any:
        parent = self._need(row.parent) if row.parent is not None else None
        # Empty ones are so by themselves; to say it costs python-ovs as much as any value.
        columns = {name: self._written(value) for name, value in row.columns.items() if value or value == 0}
        made = self._txn.insert(self._idl.tables[row.id.table])
        for name, value in columns.items():
            setattr(made, name, value)
        made.external_ids = self._tags.of(row)
        if parent is not None:
            parent.addvalue(MEMBERS[row.id.table][1], made)
        self.changes.made.append(row.id)
        return made

    def _alter(self, row: Row, kept: Any) -> None:
        found = {name: self._read(getattr(kept, name)) for name in row.columns}
        differing = different(row, found)
        for name, value in differing.items():
            setattr(kept, name, self._written(value))
        external_ids = kept.external_ids
        missing = different_tags(self._tags.of(row), external_ids)
        if missing:
            kept.external_ids = external_ids | missing
        if differing or missing:
            self.changes.altered.append(row.id)

    def _remove(self, id: RowId, rows: Iterable[Any]) -> None:
        removed = False
        for row in rows:
            removed = True
            if id.table in MEMBERS:
                for parent in self._parents(id, row):
                    parent.delvalue(MEMBERS[id.table][1], row)
            else:
                row.delete()
        if removed and self._wanted.get(id) is None:
            self.changes.removed.append(id)

    def _parents(self, id: RowId, row: Any) -> list[Any]:
        """The rows that a row lives in: mostly that of its tag, but somebody may have moved it."""
        table, column = MEMBERS[id.table]
        named = self._index.rows_of_text(row.external_ids.get(PARENT, ""))
        if len(named) == 1:
            return named
        return [other for other in self._idl.tables[table].rows.values() if row in getattr(other, column)]

    def _lives_elsewhere(self, row: Row, kept: Any) -> bool:
        if row.parent is None:
            return False
        said = kept.external_ids.get(PARENT)
        return said is not None and said != str(row.parent)

    def _need(self, id: RowId) -> Any:
        """A row that another one needs, which is made if it isn't there."""
        if id in self._there:
            return self._there[id]
        row = self._wanted.get(id)
        if row is None:
            raise LookupError(f"{id} is needed, and not wanted")
        return self.put(row)

    def _written(self, value: Value) -> Any:
        if isinstance(value, RowId):
            return [self._need(value)]
        if isinstance(value, frozenset):
            return sorted(value)
        return dict(value) if isinstance(value, Mapping) else value

    def _read(self, found: Any) -> Any:
        if isinstance(found, list):
            return [self._index.id_of(item) if hasattr(item, "uuid") else item for item in found]
        return found
