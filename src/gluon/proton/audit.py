"""The audit: one line for each change of an object, and for each change that access rules refused.

A line names attributes and never holds their values: they may be secrets, and the audit is read by others
than the objects are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gluon.particle.texts import text_of_key
from gluon.proton.change import Change
from gluon.proton.registry import HostedObject
from gluon.proton.write_request import Author

AUDIT_LOGGER = "gluon.audit"

_log = logging.getLogger(AUDIT_LOGGER)
_encode = msgspec.json.Encoder().encode


class AuditLine(msgspec.Struct, frozen=True):
    """A line; its members stand in this order."""

    time: datetime
    """In UTC, after the commit."""
    event: str
    """`write`, or `refused`."""
    outcome: str
    """`committed`, or `forbidden`."""
    actor: str
    tenant_id: str | None
    roles: Sequence[str]
    address: str | None
    request_id: str | None
    action: str
    """`create`, `update` or `delete`."""
    service: str
    version: str
    object: str
    """Its type, as the model calls it."""
    key: str | None
    """None for a refused create of several objects."""
    parent: str | None
    revision_before: int | None
    revision_after: int | None
    changed: Sequence[str]
    """Names of the attributes that an update changed."""

    def __str__(self) -> str:
        return _encode(self).decode()


class AuditLog:
    """Writes the lines, in the order of the commits of each object."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled

    def written(self, author: Author, changes: Sequence[Change]) -> None:
        """Note changes that are committed, and not answered yet."""
        if not self._enabled or not changes:
            return
        now = datetime.now(UTC)
        for change in changes:
            line = AuditLine(
                now,
                "write",
                "committed",
                *(author.actor, author.tenant_id, author.roles, author.address, author.request_id),
                change.action,
                *_place(change.hosted, change.key),
                _parent(change),
                *(_revision(change.before), _revision(change.after)),
                change.changed,
            )
            _note(line)

    def refused(self, author: Author, action: str, hosted: HostedObject, key: Any = None) -> None:
        """Note that access rules kept somebody from a change."""
        if not self._enabled:
            return
        line = AuditLine(
            datetime.now(UTC),
            "refused",
            "forbidden",
            *(author.actor, author.tenant_id, author.roles, author.address, author.request_id),
            action,
            *_place(hosted, key),
            *(None, None, None, ()),
        )
        _note(line)


def _note(line: AuditLine) -> None:
    if _log.isEnabledFor(logging.INFO):
        # Not by Logger.info, which looks for the caller's file and line in the stack each time.
        _log.handle(logging.LogRecord(_log.name, logging.INFO, __file__, 0, line, (), None))


def _place(hosted: HostedObject, key: Any) -> tuple[str, str, str, str | None]:
    text = None if key is None else text_of_key(key)
    return hosted.model.service, hosted.model.version_id, hosted.api.name, text


def _parent(change: Change) -> str | None:
    attribute = change.hosted.api.parent_key
    value = None if attribute is None else change.row[attribute]
    return None if value is None else text_of_key(value)


def _revision(row: dict[str, Any] | None) -> int | None:
    return None if row is None else row["revision_number"]
