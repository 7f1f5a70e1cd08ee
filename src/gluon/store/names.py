"""Physical names of tables and columns, kept in a catalogue so that they never change once given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LONGEST = 60
"""Bytes: below the 63 of PostgreSQL and the 64 of MariaDB."""

_UNSAFE = re.compile(r"[^a-z0-9_]")
_SUFFIX = 9


@dataclass(frozen=True, slots=True)
class Name:
    """What a physical name stands for: a table of a service, or (with `column`) one of its columns."""

    service: str
    table: str
    column: str = ""


def physical_name(wanted: str, identity: str, taken: Iterable[str]) -> str:
    """A name of letters, digits and underscores, at most LONGEST long, that is not among those taken.

    `identity` tells this use of the name from all others: a name that has to be cut, or that is
    taken, gets a suffix made from it, so that it does not depend on what else is there.
    """
    held = set(taken)
    safe = _UNSAFE.sub("_", wanted.lower())
    # Databases keep these prefixes for themselves.
    if safe.startswith(("sqlite_", "pg_", "gluon_")):
        safe = f"x_{safe}"
    if len(safe) <= LONGEST and safe not in held:
        return safe
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{identity}\n{attempt}".encode()).hexdigest()
        name = f"{safe[: LONGEST - _SUFFIX]}_{digest[: _SUFFIX - 1]}"
        if name not in held:
            return name
        attempt += 1


def derived_name(prefix: str, *parts: str) -> str:
    """The name of an index or constraint, from the physical names of what it is on."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return f"{prefix}_{digest}"


@dataclass(frozen=True)
class PhysicalNames:
    """The catalogue: physical names by what they stand for. Unique without regard to case."""

    names: Mapping[Name, str] = field(default_factory=dict)

    def table(self, service: str, table: str) -> str:
        """The physical name of a table; raises KeyError when it has none."""
        return self.names[Name(service, table)]

    def tables_of(self, service: str) -> list[str]:
        """The physical names of all tables of a service."""
        return [p for name, p in self.names.items() if name.service == service and not name.column]

    def column(self, service: str, table: str, column: str) -> str:
        """The physical name of a column; raises KeyError when it has none."""
        return self.names[Name(service, table, column)]

    def with_names(self, wanted: Iterable[tuple[Name, str]]) -> PhysicalNames:
        """A catalogue that has a name for each of those too, as near to the one wanted as can be.

        Earlier ones come first when two want the same. What has a name keeps it.
        """
        names = dict(self.names)
        tables = {physical for name, physical in names.items() if not name.column}
        columns: dict[tuple[str, str], set[str]] = {}
        for name, physical in names.items():
            if name.column:
                columns.setdefault((name.service, name.table), set()).add(physical)
        for name, wish in wanted:
            if name in names:
                continue
            taken = columns.setdefault((name.service, name.table), set()) if name.column else tables
            physical = physical_name(wish, f"{name.service}\n{name.table}\n{name.column}", taken)
            names[name] = physical
            taken.add(physical)
        return PhysicalNames(names)
