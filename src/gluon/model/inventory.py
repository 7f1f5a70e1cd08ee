"""The merged objects of a model while they are checked: what they say, and where they say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluon.model.declarations import ObjectDeclaration
from gluon.model.language import attribute_type
from gluon.model.model import AttributeType, Role
from gluon.model.problems import Position
from gluon.model.resolution import chain, merged_attributes, primary_attributes, role


class Inventory:
    """All objects of a model, with inheritance merged in as far as it is sound.

    `declared` and `plain` are the same objects with and without their places; `plain` is in the terms of
    the document. `is_incomplete` says that a file could not be read: a name that is not found may stand
    there, so nobody should report it.
    """

    def __init__(
        self,
        declared: Mapping[str, ObjectDeclaration],
        plain: Mapping[str, Any],
        *,
        is_incomplete: bool,
    ) -> None:
        self.declared = declared
        self.plain = plain
        self.is_incomplete = is_incomplete
        self.api_names = [name for name, object_ in declared.items() if object_.is_api]
        self.attributes = {name: merged_attributes(plain, name) for name in plain}
        """Of each object, base objects included: its attributes, inherited ones first."""
        self.primary = {name: primary_attributes(plain, name) for name in plain}
        """Of each object: its primary attributes, the identifying one first."""
        self._roles = {name: role(plain, name) for name in self.api_names}

    def role(self, name: str) -> Role:
        """The role of an API object."""
        return self._roles.get(name, Role.NONE)

    def with_role(self, wanted: Role) -> list[str]:
        """The API objects of that role."""
        return [name for name in self.api_names if self._roles[name] is wanted]

    def chain(self, name: str) -> list[str]:
        """The object and all that it inherits from, the nearest first."""
        return list(chain(self.plain, name))

    def chain_is_whole(self, name: str) -> bool:
        """Whether everything that the object inherits is known."""
        last = self.chain(name)[-1]
        return "extends" not in self.declared[last].positions

    def target(self, keywords: Mapping[str, Any]) -> str | None:
        """The API object that an attribute with these keywords refers to, if it does."""
        type_ = keywords.get("type")
        if type_ is None or attribute_type(type_) is not AttributeType.REFERENCE:
            return None
        return type_ if type_ in self._roles else None

    def end_of_references(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """The keywords of the identifying key at the end of a chain of references."""
        for _ in range(len(self.api_names) + 1):
            target = self.target(keywords)
            if target is None:
                break
            primary = self.primary[target]
            keywords = self.attributes[target].get(primary[0], {}) if primary else {"type": "uuid"}
        return keywords

    def key_keywords(self, name: str) -> dict[str, Any]:
        """The keywords of the values that identify an object."""
        primary = self.primary[name]
        key = self.attributes[name].get(primary[0], {}) if primary else {"type": "uuid"}
        return self.end_of_references(key)

    def position(self, name: str, attribute: str, *keywords: str) -> Position:
        """Where an attribute was declared, or the first of these keywords of it that was written.

        The nearest declaration counts: the object's own, then what it inherits.
        """
        holders = [
            self.declared[ancestor].attributes[attribute]
            for ancestor in self.chain(name)
            if attribute in self.declared[ancestor].attributes
        ]
        for keyword in keywords:
            for holder in holders:
                if keyword in holder.positions:
                    return holder.positions[keyword]
        return holders[0].position if holders else self.declared[name].position
