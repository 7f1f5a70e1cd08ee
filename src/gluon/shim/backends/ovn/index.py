"""Which rows of the database are ours: found by their tags, as the database tells of them."""

from __future__ import annotations

import uuid
from typing import Any

from gluon.shim.backends.ovn.difference import Tags
from gluon.shim.backends.ovn.rows import RowId, row_id


class RowIndex:
    """Rows by what they are for. Used by the connection's thread, or under its lock, but for `ids_for`.

    A row that was ours once is ours as long as it is there, even when somebody takes its tags away: it is
    found all the same, and gets them back.
    """

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._tables: Any = {}
        self._uuids: dict[RowId, set[uuid.UUID]] = {}
        self._ids: dict[uuid.UUID, RowId] = {}
        self._whose: dict[str, set[RowId]] = {}

    def belong_to(self, idl: Any) -> None:
        """The connection whose rows these are."""
        self._tables = idl.tables

    def learn(self, row: Any) -> RowId | None:
        """The database says that a row is new or has changed; which one it is, if it is ours."""
        id = self._ids.get(row.uuid)
        if id is None:
            id = self._tags.read(row.external_ids)
            if id is None or id.table != row._table.name:
                return None
            self._ids[row.uuid] = id
            self._uuids.setdefault(id, set()).add(row.uuid)
            self._whose.setdefault(id.whose, set()).add(id)
        return id

    def forget(self, row: Any) -> RowId | None:
        """The database says that a row is gone; which one it was, if it was ours."""
        id = self._ids.pop(row.uuid, None)
        if id is not None:
            self._uuids[id].discard(row.uuid)
            if not self._uuids[id]:
                self._forget(id)
        return id

    def forget_absent(self) -> None:
        """Let go of rows that went while there was no connection."""
        for id, uuids in list(self._uuids.items()):
            rows = self._tables[id.table].rows
            for absent in [number for number in uuids if number not in rows]:
                uuids.discard(absent)
                del self._ids[absent]
            if not uuids:
                self._forget(id)

    def id_of(self, row: Any) -> RowId | None:
        """What a row is for; None when it isn't ours."""
        return self._ids.get(row.uuid)

    def ids(self) -> set[RowId]:
        """All that is there."""
        return {id for id in self._uuids if self.rows(id)}

    def ids_for(self, whose: str) -> set[RowId]:
        """Those that are there for one thing (`RowId.whose`). Safe from any thread."""
        found = self._whose.get(whose)
        # The interpreter copies a set in one step.
        return found.copy() if found is not None else set()

    def rows(self, id: RowId) -> list[Any]:
        """The rows that are there for one purpose: one, unless two shim servers have made it at once."""
        numbers = self._uuids.get(id)
        if numbers is None:
            return []
        rows = self._tables[id.table].rows
        return [rows[number] for number in numbers if number in rows]

    def rows_of_text(self, text: str) -> list[Any]:
        """The same, by the text that tags have of it."""
        try:
            return self.rows(row_id(text))
        except ValueError:
            return []

    def _forget(self, id: RowId) -> None:
        del self._uuids[id]
        others = self._whose[id.whose]
        others.discard(id)
        if not others:
            del self._whose[id.whose]
