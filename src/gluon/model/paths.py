"""What API objects are called in URLs and commands, and under which parents they stand."""

from __future__ import annotations

from gluon.model.declarations import ObjectDeclaration
from gluon.model.inventory import Inventory
from gluon.model.language import (
    RESERVED_CHILD_PLURALS,
    RESERVED_PLURALS,
    RESERVED_PORT_CHILD_PLURALS,
    attribute_type,
)
from gluon.model.model import AttributeType, Role
from gluon.model.problems import Report, quoted


def check_paths(inventory: Inventory, report: Report) -> None:
    """Report names that are taken, and parents that objects can't stand under."""
    _PathCheck(inventory, report).run()


class _PathCheck:
    def __init__(self, inventory: Inventory, report: Report) -> None:
        self._inventory = inventory
        self._report = report

    def run(self) -> None:
        self._names()
        for name in self._inventory.api_names:
            self._parent(self._inventory.declared[name])

    def _plural(self, name: str) -> str | None:
        plural: str | None = self._inventory.plain[name]["api"].get("plural_name")
        return plural

    def _names(self) -> None:
        taken: dict[str, tuple[str, str]] = {}
        for name in self._inventory.api_names:
            declared = self._inventory.declared[name]
            if self._plural(name) in RESERVED_PLURALS:
                position = declared.at("api.plural_name", "api.name", "api")
                message = f"plural_name can't be {quoted(self._plural(name) or '')}: the API has it already"
                self._report.error(position, message, name)
            for keyword in ("name", "plural_name"):
                word = self._inventory.plain[name]["api"].get(keyword)
                if word is None:
                    continue
                owner, owner_keyword = taken.setdefault(word, (name, keyword))
                if owner != name:
                    position = declared.at(f"api.{keyword}", "api.name", "api")
                    message = f"{keyword} {quoted(word)} is taken: it is the {owner_keyword} of {owner}"
                    self._report.error(position, message, name)

    def _parent(self, declared: ObjectDeclaration) -> None:
        name, parent = declared.name, declared.api.get("parent")
        if parent is None:
            if "api.parent_key" in declared.positions and "api.parent" not in declared.positions:
                message = "parent_key without parent: name the object that it refers to"
                self._report.error(declared.at("api.parent_key"), message, name)
            return
        position = declared.at("api.parent")
        target = self._inventory.declared.get(parent)
        if target is None:
            if not self._inventory.is_incomplete:
                near = self._report.suggest(parent, self._inventory.api_names)
                self._report.error(
                    position, f"parent {quoted(parent)} is no object of this model{near}", name
                )
            return
        if not target.is_api:
            message = f"parent {parent} is a base object; only API objects have URLs"
            extending = [
                o for o in self._inventory.api_names if self._inventory.declared[o].extends == parent
            ]
            self._report.error(
                position, message + (f" (did you mean {extending[0]!r}?)" if extending else ""), name
            )
            return
        plural = self._plural(name)
        below_port = self._inventory.role(parent) is Role.PORT
        if plural in RESERVED_CHILD_PLURALS or (below_port and plural in RESERVED_PORT_CHILD_PLURALS):
            where = declared.at("api.plural_name", "api.name")
            message = f"plural_name can't be {quoted(plural)} below {parent}: the API has it already"
            self._report.error(where, message, name)
        self._parent_key(declared, parent)

    def _parent_key(self, declared: ObjectDeclaration, parent: str) -> None:
        name, key = declared.name, declared.api.get("parent_key")
        attributes = self._inventory.attributes[name]
        if key is None:
            if "api.parent_key" not in declared.positions:
                referring = [
                    a for a, keywords in attributes.items() if self._inventory.target(keywords) == parent
                ]
                hint = f": parent_key: {referring[0]}" if referring else f" (an attribute of type {parent})"
                message = f"parent without parent_key: name the attribute that refers to {parent}{hint}"
                self._report.error(declared.at("api.parent"), message, name)
            return
        if key not in attributes:
            if self._inventory.chain_is_whole(name):
                near = self._report.suggest(key, attributes)
                message = f"parent_key {quoted(key)} is no attribute of {name}{near}"
                self._report.error(declared.at("api.parent_key"), message, name)
            return
        keywords = attributes[key]
        if "type" not in keywords or self._inventory.target(keywords) == parent:
            return
        # A plain value of the same type refers just as well: files of the first years have that.
        is_plain = attribute_type(keywords["type"]) is not AttributeType.REFERENCE
        key_type = self._inventory.key_keywords(parent).get("type")
        if key_type is not None and not (is_plain and keywords["type"] == key_type):
            where = self._inventory.position(name, key, "type")
            message = f"is the parent_key, so it must refer to {parent}: type: {parent}"
            self._report.error(where, message, name, key)
