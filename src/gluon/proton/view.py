"""What one watcher sees of a collection.

A watcher is told of the objects that it would find in a list: its own tenant's, or all if the access rules
let it list all; of those, the ones that its filters choose. So an object may come and go without being
created or deleted: one that begins to be seen is ADDED, one that is not seen any more is DELETED.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from gluon.model.model import SERVER_ATTRIBUTES
from gluon.proton.moments import Document, Shape, State, Transition
from gluon.proton.reads import Scope
from gluon.proton.registry import HostedObject
from gluon.store.owner import normalised_owner

_log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class Kind(enum.Enum):
    """What a watcher is told; the value is the name of the event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    TOO_OLD = "TOO_OLD"


class View:
    """What one watcher sees, and which attributes of it."""

    def __init__(self, scope: Scope, fields: Sequence[str]) -> None:
        self._tenant = normalised_owner(scope.tenant)
        self._filters = {name: tuple(values) for name, values in scope.filters.items()}
        if (tenants := self._filters.get("tenant_id")) is not None:
            self._filters["tenant_id"] = tuple(map(normalised_owner, tenants))
        self._fields = frozenset(fields)

    def sees(self, state: State | None) -> bool:
        """Whether the object, as it is in `state`, would be in the watcher's list."""
        document = state.document if state is not None else None
        if document is None:
            return False
        owner = normalised_owner(document.get("tenant_id"))
        if self._tenant is not None and owner != self._tenant:
            return False
        return all(
            (owner if name == "tenant_id" else document[name]) in values
            for name, values in self._filters.items()
        )

    def data(self, state: State) -> bytes:
        """The JSON that the watcher is shown."""
        if not self._fields:
            return state.data
        document = state.document or {}
        return _encode({name: value for name, value in document.items() if name in self._fields})

    def told(self, change: Transition) -> tuple[Kind, bytes] | None:
        """What the watcher is told of a change; None when it makes no difference in what is shown.

        A deletion tells what was last seen: who may not see the object any more must not see its new state.
        """
        was, is_now = self.sees(change.before), self.sees(change.after)
        before = self.data(change.before) if was and change.before is not None else None
        after = self.data(change.after) if is_now and change.after is not None else None
        if before == after:
            return None
        if after is None:
            return (Kind.DELETED, before) if before is not None else None
        return (Kind.ADDED if before is None else Kind.MODIFIED), after


def shape_of(hosted: HostedObject) -> Shape:
    """How values in etcd become the API's documents: without what only shims may see."""
    names = (*hosted.api.attributes, *SERVER_ATTRIBUTES)

    def shape(value: bytes) -> Document | None:
        try:
            stored = msgspec.json.decode(value, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
            _log.error("etcd has a %s %s that is no JSON object", hosted.model.service, hosted.api.name)
            return None
        # One that was written before the model grew lacks what is new.
        return {name: stored.get(name) for name in names}

    return shape
