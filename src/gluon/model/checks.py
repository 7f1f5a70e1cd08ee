"""What must hold between the objects of a model, and within an attribute once inheritance is merged in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gluon.model.attributes import check_attribute, largest_json, longest_key
from gluon.model.declarations import ObjectDeclaration
from gluon.model.language import (
    LARGEST_STORED_OBJECT,
    MOST_ATTRIBUTES,
    PORT_JSON_BYTES,
    RESERVED_ATTRIBUTES,
    RESERVED_CHILD_PLURALS,
    RESERVED_PLURALS,
    RESERVED_PORT_ATTRIBUTES,
    RESERVED_PORT_CHILD_PLURALS,
    attribute_type,
)
from gluon.model.model import AttributeType, Role
from gluon.model.problems import Position, Report, quoted
from gluon.model.resolution import UUID_KEY, chain, merged_attributes, primary_attributes, role
from gluon.model.rules import RuleError, check_rule, targets

# What an index of InnoDB holds, in bytes; a character may need four.
_LARGEST_INDEX = 3072

Plain = Mapping[str, Any]
Declared = Mapping[str, ObjectDeclaration]


def check_objects(declared: Declared, plain: Plain, report: Report, *, is_incomplete: bool) -> None:
    """Report everything that is wrong with the merged objects.

    `declared` and `plain` are the same objects with and without their places. `is_incomplete` says that a
    file could not be read: names that are not found may be there, so they are not reported.
    """
    _Checks(declared, plain, report, is_incomplete).run()


def position_of(declared: Declared, plain: Plain, name: str, attribute: str, *keywords: str) -> Position:
    """Where an attribute (or the first of these keywords that was written) of an object was declared.

    The nearest declaration counts: the object's own, then what it inherits.
    """
    holders = [
        declared[ancestor].attributes[attribute]
        for ancestor in chain(plain, name)
        if attribute in declared[ancestor].attributes
    ]
    for keyword in keywords:
        for holder in holders:
            if keyword in holder.positions:
                return holder.positions[keyword]
    return holders[0].position if holders else declared[name].position


class _Checks:
    def __init__(self, declared: Declared, plain: Plain, report: Report, is_incomplete: bool) -> None:
        self._declared = declared
        self._plain = plain
        self._report = report
        self._is_incomplete = is_incomplete
        self._api_names = [name for name, object_ in declared.items() if object_.is_api]
        self._merged = {name: merged_attributes(plain, name) for name in plain}
        self._rules: dict[str, str | None] = {}

    def run(self) -> None:
        for name in self._declared:
            self._extends(name)
            self._attributes(name)
            self._policies(name)
        self._names()
        for name in self._api_names:
            self._key(name)
            self._reserved(name)
            self._parent(name)
            self._policy_targets(name)
            self._size(name)
        self._circles()

    # Extending

    def _extends(self, name: str) -> None:
        declared = self._declared[name]
        if declared.extends is None:
            return
        position = declared.at("extends")
        base = self._declared.get(declared.extends)
        if base is None:
            bases = [other for other, object_ in self._declared.items() if not object_.is_api]
            near = self._report.suggest(declared.extends, bases)
            if not self._is_incomplete:
                message = f"extends {quoted(declared.extends)}, which no file declares{near}"
                if not near and not bases:
                    message += "; is an import missing?"
                self._report.error(position, message, name)
        elif base.name == name:
            self._report.error(position, "extends itself", name)
        elif base.is_api:
            message = f"extends {base.name}, which has an API; only base objects (without `api`) are extended"
            self._report.error(position, message, name)
        else:
            trail = list(chain(self._plain, name))
            after = self._plain[trail[-1]].get("extends")
            # Each object of a circle finds it; the first of them in the files tells.
            if after in trail:
                circle = trail[trail.index(after) :]
                if name == min(circle, key=list(self._declared).index):
                    shown = " → ".join((*circle, after))
                    self._report.error(position, f"extends goes in a circle: {shown}", name)

    def _chain_is_whole(self, name: str) -> bool:
        last = list(chain(self._plain, name))[-1]
        return self._plain[last].get("extends") is None and "extends" not in self._declared[last].positions

    # Attributes

    def _attributes(self, name: str) -> None:
        declared = self._declared[name]
        merged = self._merged[name]
        for attribute in declared.attributes.values():
            check_attribute(
                declared,
                attribute,
                merged[attribute.name],
                self._declared,
                self._report,
                type_may_be_elsewhere=self._is_incomplete or not self._chain_is_whole(name),
                objects_may_be_elsewhere=self._is_incomplete,
            )

    def _reserved(self, name: str) -> None:
        is_port = role(self._plain, name) is Role.PORT
        for attribute in self._merged[name]:
            if attribute in RESERVED_ATTRIBUTES or (is_port and attribute in RESERVED_PORT_ATTRIBUTES):
                position = position_of(self._declared, self._plain, name, attribute)
                self._report.error(
                    position, "the name is taken by what the server itself writes", name, attribute
                )

    # Names in URLs and commands

    def _names(self) -> None:
        taken: dict[str, tuple[str, str]] = {}
        for name in self._api_names:
            declared = self._declared[name]
            api = self._plain[name].get("api", {})
            plural = api.get("plural_name")
            if plural in RESERVED_PLURALS:
                position = declared.at("api.plural_name", "api.name", "api")
                self._report.error(
                    position, f"plural_name can't be {quoted(plural)}: the API has it already", name
                )
            for keyword in ("name", "plural_name"):
                word = api.get(keyword)
                if word is None:
                    continue
                owner, owner_keyword = taken.setdefault(word, (name, keyword))
                if owner == name:
                    continue
                position = declared.at(f"api.{keyword}", "api.name", "api")
                message = f"{keyword} {quoted(word)} is taken: it is the {owner_keyword} of {owner}"
                self._report.error(position, message, name)

    # Identifying keys

    def _key(self, name: str) -> None:
        merged = self._merged[name]
        primary = [key for key in primary_attributes(self._plain, name) if key in merged]
        if not primary:
            if UUID_KEY in merged:
                position = position_of(self._declared, self._plain, name, UUID_KEY)
                message = (
                    "the object has no primary attribute, so a key of this name is added; give this one "
                    "`primary: true` or another name"
                )
                self._report.error(position, message, name, UUID_KEY)
            return
        total = sum(longest_key(self._end_of_references(merged[key])) for key in primary)
        if total > _LARGEST_INDEX:
            position = position_of(self._declared, self._plain, name, primary[0], "length", "primary")
            message = f"too long to identify an object: {total} bytes of at most {_LARGEST_INDEX}"
            self._report.error(position, f"{message}; lower `length`", name, primary[0])

    def _end_of_references(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """The keywords of the key at the end of a chain of references, as far as it is sound."""
        for _ in range(len(self._api_names) + 1):
            target = self._target(keywords)
            if target is None:
                break
            primary = primary_attributes(self._plain, target)
            keywords = self._merged[target].get(primary[0], {}) if primary else {"type": "uuid"}
        return keywords

    def _target(self, keywords: Mapping[str, Any]) -> str | None:
        """The API object that an attribute refers to, if it does."""
        type_ = keywords.get("type")
        if type_ is None or attribute_type(type_) is not AttributeType.REFERENCE:
            return None
        return type_ if type_ in self._declared and self._declared[type_].is_api else None

    # Parents

    def _parent(self, name: str) -> None:
        declared = self._declared[name]
        parent, key = declared.api.get("parent"), declared.api.get("parent_key")
        if parent is None:
            if "api.parent_key" in declared.positions and "api.parent" not in declared.positions:
                message = "parent_key without parent: name the object that it refers to"
                self._report.error(declared.at("api.parent_key"), message, name)
            return
        position = declared.at("api.parent")
        target = self._declared.get(parent)
        if target is None:
            if not self._is_incomplete:
                near = self._report.suggest(parent, self._api_names)
                self._report.error(
                    position, f"parent {quoted(parent)} is no object of this model{near}", name
                )
            return
        if not target.is_api:
            self._report.error(
                position, f"parent {parent} is a base object; only API objects have URLs", name
            )
            return
        plural = self._plain[name].get("api", {}).get("plural_name")
        taken = plural in RESERVED_CHILD_PLURALS or (
            plural in RESERVED_PORT_CHILD_PLURALS and role(self._plain, parent) is Role.PORT
        )
        if taken:
            where = declared.at("api.plural_name", "api.name")
            message = f"plural_name can't be {quoted(plural)} below {parent}: the API has it already"
            self._report.error(where, message, name)
        self._parent_key(declared, parent, key)

    def _parent_key(self, declared: ObjectDeclaration, parent: str, key: str | None) -> None:
        name = declared.name
        merged = self._merged[name]
        referring = [a for a, keywords in merged.items() if self._target(keywords) == parent]
        if key is None:
            if "api.parent_key" not in declared.positions:
                hint = f": parent_key: {referring[0]}" if referring else f" (an attribute of type {parent})"
                message = f"parent without parent_key: name the attribute that refers to {parent}{hint}"
                self._report.error(declared.at("api.parent"), message, name)
            return
        position = declared.at("api.parent_key")
        if key not in merged:
            if self._chain_is_whole(name):
                near = self._report.suggest(key, merged)
                self._report.error(
                    position, f"parent_key {quoted(key)} is no attribute of {name}{near}", name
                )
            return
        keywords = merged[key]
        if "type" not in keywords or self._target(keywords) == parent:
            return
        parent_keys = primary_attributes(self._plain, parent)
        parent_type = {"type": "uuid"}
        if parent_keys:
            parent_type = self._end_of_references(self._merged[parent].get(parent_keys[0], {}))
        # A plain value of the same type refers just as well: models before references were spelt so.
        is_plain = attribute_type(keywords["type"]) is not AttributeType.REFERENCE
        if not is_plain or keywords["type"] != parent_type.get("type"):
            where = position_of(self._declared, self._plain, name, key, "type")
            message = f"is the parent_key, so it must refer to {parent}: type: {parent}"
            self._report.error(where, message, name, key)

    # Policies

    def _policies(self, name: str) -> None:
        declared = self._declared[name]
        for action, rule in declared.policies.items():
            position = declared.at(f"policies.{action}")
            if rule not in self._rules:
                self._rules[rule] = self._rule_problem(rule)
            problem = self._rules[rule]
            if problem is not None:
                self._report.error(position, f"policy {action}: {problem}", name)
            elif not rule:
                message = f"policy {action}: an empty rule lets everyone; write @ if that is meant"
                self._report.warning(position, message, name)

    def _rule_problem(self, rule: str) -> str | None:
        try:
            check_rule(rule)
        except RuleError as error:
            return str(error)
        return None

    def _policy_targets(self, name: str) -> None:
        merged = self._merged[name]
        known = {*merged, *RESERVED_ATTRIBUTES}
        for holder in chain(self._plain, name):
            for action, rule in self._declared[holder].policies.items():
                for target in targets(rule):
                    if target in known or ":" in target:
                        continue
                    near = self._report.suggest(target, known)
                    message = (
                        f"policy {action}: {name} has no attribute {quoted(target)}{near}, so nobody passes"
                    )
                    self._report.warning(self._declared[holder].at(f"policies.{action}"), message, name)

    # Size

    def _size(self, name: str) -> None:
        merged = self._merged[name]
        declared = self._declared[name]
        if len(merged) > MOST_ATTRIBUTES:
            message = f"an object has at most {MOST_ATTRIBUTES} attributes; this one has {len(merged)}"
            self._report.error(declared.position, message, name)
            return
        largest = {attribute: self._largest(name, attribute) for attribute in merged}
        total = sum(largest.values())
        if total > LARGEST_STORED_OBJECT:
            attribute = max(largest, key=lambda a: largest[a])
            position = position_of(self._declared, self._plain, name, attribute, "length", "type")
            message = (
                f"an object could need {total} bytes of JSON, of at most {LARGEST_STORED_OBJECT}; "
                f"this attribute alone {largest[attribute]}: lower its `length`"
            )
            self._report.error(position, message, name, attribute)

    def _largest(self, name: str, attribute: str) -> int:
        size = largest_json(attribute, self._end_of_references(self._merged[name][attribute]))
        if attribute in ("profile", "vif_details") and role(self._plain, name) is Role.PORT:
            # JSON inside JSON: a quote or line break in the text takes two bytes.
            return max(size, 2 * PORT_JSON_BYTES)
        return size

    # Circles

    def _circles(self) -> None:
        keys = {name: primary_attributes(self._plain, name) for name in self._api_names}
        self._circle(
            {
                name: self._target(self._merged[name].get(primary[0], {}))
                for name, primary in keys.items()
                if primary
            },
            lambda name: position_of(self._declared, self._plain, name, keys[name][0], "type"),
            "identifying keys refer to each other in a circle",
        )
        parents = {name: self._declared[name].api.get("parent") for name in self._api_names}
        self._circle(parents, lambda name: self._declared[name].at("api.parent"), "parents go in a circle")
        self._required_circle()

    def _circle(self, following: Mapping[str, str | None], place: Any, message: str) -> None:
        settled: set[str] = set()
        for start in following:
            trail = list(_follow(following, start, settled))
            settled.update(trail)
            after = following.get(trail[-1]) if trail else None
            if after in trail:
                circle = trail[trail.index(after) :]
                shown = " → ".join((*circle, str(after)))
                self._report.error(place(circle[0]), f"{message}: {shown}", circle[0])

    def _required_circle(self) -> None:
        """Objects that need each other at creation: neither can come first."""
        needs: dict[str, dict[str, str]] = {}
        for name in self._api_names:
            for attribute, keywords in self._merged[name].items():
                target = self._target(keywords)
                if target is not None and keywords.get("required"):
                    needs.setdefault(name, {}).setdefault(target, attribute)
        removed = True
        # What needs nothing that is in the circle can be created; what is left over can't.
        while removed:
            removed = False
            for name in list(needs):
                needs[name] = {t: a for t, a in needs[name].items() if t in needs}
                if not needs[name]:
                    del needs[name]
                    removed = True
        for name, wanted in needs.items():
            target, attribute = next(iter(wanted.items()))
            position = position_of(self._declared, self._plain, name, attribute, "required", "type")
            message = (
                f"no {name} can be created first: it requires a {target}, which in the end requires a {name}"
            )
            if target != name and name not in _reachable(needs, target):
                message = f"no {name} can be created: it requires a {target}, and none of those can"
            self._report.warning(position, message, name, attribute)


def _follow(following: Mapping[str, str | None], start: str, settled: set[str]) -> Iterator[str]:
    seen: set[str] = set()
    current: str | None = start
    while current is not None and current in following and current not in seen and current not in settled:
        seen.add(current)
        yield current
        current = following[current]


def _reachable(needs: Mapping[str, Mapping[str, str]], start: str) -> set[str]:
    seen: set[str] = set()
    pending = [start]
    while pending:
        for target in needs.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen
