"""What the files of a model declare, file by file, before anything is inherited or looked up.

A keyword whose value was wrong, and reported, is left out of the values but keeps its position; whoever
checks further can tell it from one that was never written, and reports nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gluon.model.problems import Position


@dataclass(slots=True)
class AttributeDeclaration:
    """What one object says of one attribute."""

    name: str
    position: Position
    values: dict[str, Any] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)


@dataclass(slots=True)
class ObjectDeclaration:
    """One object as its file has it."""

    name: str
    position: Position
    is_api: bool = False
    api: dict[str, str] = field(default_factory=dict)
    extends: str | None = None
    attributes: dict[str, AttributeDeclaration] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    """Of `extends`, `api`, `api.<keyword>` and `policies.<action>`."""

    def at(self, *places: str) -> Position:
        """The first of these places that was written, else the object's name."""
        return next((self.positions[place] for place in places if place in self.positions), self.position)


@dataclass(slots=True)
class Declarations:
    """One file."""

    path: str
    file_version: str | None = None
    imports: list[tuple[str, Position]] = field(default_factory=list)
    lacks_imports: bool = False
    """Whether something was written as an import that is none."""
    info: dict[str, Any] | None = None
    """`name`, `version`, `description` and `author` as far as they were written rightly."""
    info_positions: dict[str, Position] = field(default_factory=dict)
    """Of `info` itself and its keywords."""
    objects: list[ObjectDeclaration] = field(default_factory=list)
    is_later: bool = False
    """Whether the file is in a later version of the language, so that its content says nothing here."""
