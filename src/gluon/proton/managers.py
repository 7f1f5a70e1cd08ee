"""Managers: a service's own code that runs inside the transaction of each write.

A manager is a class under the entry point group `gluon.managers`, named like its service. It may fill in
values, or refuse the write by raising `Refused`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from gluon.proton.identity import Identity

_GROUP = "gluon.managers"


class Refused(Exception):
    """A manager refuses a write; `errors` maps a field to what is wrong with it (answered with 422)."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors.items()))
        self.errors = dict(errors)


class Manager(Protocol):
    """What a service may have its say in. Plain functions, called in the database's thread: no I/O."""

    def before_create(self, identity: Identity, object_name: str, values: dict[str, Any]) -> None:
        """`values` (attribute to value, all of them) may be changed in place; raises Refused."""

    def before_update(
        self, identity: Identity, object_name: str, stored: Mapping[str, Any], changes: dict[str, Any]
    ) -> None:
        """`changes` (attribute to new value) may be changed in place; raises Refused."""

    def before_delete(self, identity: Identity, object_name: str, stored: Mapping[str, Any]) -> None:
        """Raises Refused to keep the object."""


class Managers:
    """The managers that are installed; looked for once, since that reads every installed package."""

    def __init__(self) -> None:
        self._entries = {entry.name: entry for entry in entry_points(group=_GROUP)}

    def load(self, service: str) -> Manager | None:
        """The manager of a service, if one is installed.

        Raises what its import or construction raises: a service must not be served without the checks that
        its manager makes.
        """
        entry = self._entries.get(service)
        return cast(Manager, entry.load()()) if entry is not None else None
