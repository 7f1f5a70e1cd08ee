"""What must hold between the objects of a model: inheritance, keys, policies, sizes."""

from __future__ import annotations

from gluon.model.attributes import check_attribute, largest_json, longest_key
from gluon.model.binding import check_binding
from gluon.model.circles import check_circles
from gluon.model.inventory import Inventory
from gluon.model.language import (
    LARGEST_STORED_OBJECT,
    MOST_ATTRIBUTES,
    PORT_JSON_BYTES,
    RESERVED_ATTRIBUTES,
    RESERVED_PORT_ATTRIBUTES,
)
from gluon.model.model import Role
from gluon.model.paths import check_paths
from gluon.model.problems import Report, quoted
from gluon.model.resolution import UUID_KEY
from gluon.model.rules import RuleError, check_rule, targets

# What an index of InnoDB holds, in bytes; a character may need four.
_LARGEST_INDEX = 3072


def check_model(inventory: Inventory, report: Report) -> None:
    """Report everything that is wrong with the merged objects of a model."""
    checks = _Checks(inventory, report)
    for name in inventory.declared:
        checks.extends(name)
        checks.attributes(name)
        checks.policies(name)
    for name in inventory.api_names:
        checks.key(name)
        checks.reserved(name)
        checks.policy_targets(name)
        checks.size(name)
    check_paths(inventory, report)
    check_circles(inventory, report)
    if not inventory.is_incomplete:
        check_binding(inventory, report)


class _Checks:
    def __init__(self, inventory: Inventory, report: Report) -> None:
        self._inventory = inventory
        self._declared = inventory.declared
        self._report = report
        self._rules: dict[str, str | None] = {}

    def extends(self, name: str) -> None:
        declared = self._declared[name]
        if declared.extends is None:
            return
        position = declared.at("extends")
        base = self._declared.get(declared.extends)
        if base is None:
            if self._inventory.is_incomplete:
                return
            bases = [other for other, object_ in self._declared.items() if not object_.is_api]
            near = self._report.suggest(declared.extends, [other for other in bases if other != name])
            hint = near or "; is an import missing?"
            self._report.error(
                position, f"extends {quoted(declared.extends)}, which no file declares{hint}", name
            )
        elif base.name == name:
            self._report.error(position, "extends itself", name)
        elif base.is_api:
            message = f"extends {base.name}, which has an API; only base objects (without `api`) are extended"
            self._report.error(position, message, name)
        else:
            self._circle_of_bases(name)

    def _circle_of_bases(self, name: str) -> None:
        trail = self._inventory.chain(name)
        after = self._declared[trail[-1]].extends
        if after not in trail:
            return
        circle = trail[trail.index(after) :]
        # Each object of the circle comes here; the first of them in the files tells.
        if len(circle) > 1 and name == min(circle, key=list(self._declared).index):
            shown = " → ".join((*circle, after))
            self._report.error(self._declared[name].at("extends"), f"extends goes in a circle: {shown}", name)

    def attributes(self, name: str) -> None:
        declared = self._declared[name]
        for attribute in declared.attributes.values():
            check_attribute(
                declared,
                attribute,
                self._inventory.attributes[name][attribute.name],
                self._declared,
                self._report,
                type_may_be_elsewhere=self._inventory.is_incomplete
                or not self._inventory.chain_is_whole(name),
                objects_may_be_elsewhere=self._inventory.is_incomplete,
            )

    def reserved(self, name: str) -> None:
        is_port = self._inventory.role(name) is Role.PORT
        for attribute in self._inventory.attributes[name]:
            if attribute in RESERVED_ATTRIBUTES or (is_port and attribute in RESERVED_PORT_ATTRIBUTES):
                position = self._inventory.position(name, attribute)
                message = "the name is taken by what the server itself writes"
                self._report.error(position, message, name, attribute)

    def key(self, name: str) -> None:
        attributes = self._inventory.attributes[name]
        primary = self._inventory.primary[name]
        if not primary:
            if UUID_KEY in attributes:
                position = self._inventory.position(name, UUID_KEY)
                message = (
                    "the object has no primary attribute, so a key of this name is added; give this one "
                    "`primary: true` or another name"
                )
                self._report.error(position, message, name, UUID_KEY)
            return
        total = sum(longest_key(self._inventory.end_of_references(attributes[key])) for key in primary)
        if total > _LARGEST_INDEX:
            position = self._inventory.position(name, primary[0], "length", "primary")
            message = (
                f"too long to identify an object: {total} bytes of at most {_LARGEST_INDEX}; lower `length`"
            )
            self._report.error(position, message, name, primary[0])

    def policies(self, name: str) -> None:
        declared = self._declared[name]
        for action, rule in declared.policies.items():
            position = declared.at(f"policies.{action}")
            if rule not in self._rules:
                self._rules[rule] = self._rule_problem(rule)
            problem = self._rules[rule]
            if problem is not None:
                self._report.error(position, f"policy {action}: {problem}", name)
            elif not rule:
                message = f"policy {action}: an empty rule lets everyone; write '@' if that is meant"
                self._report.warning(position, message, name)

    def _rule_problem(self, rule: str) -> str | None:
        try:
            check_rule(rule)
        except RuleError as error:
            return str(error)
        return None

    def policy_targets(self, name: str) -> None:
        known = {*self._inventory.attributes[name], *RESERVED_ATTRIBUTES}
        for holder in self._inventory.chain(name):
            for action, rule in self._declared[holder].policies.items():
                for target in targets(rule):
                    # `network:tenant_id` and its like are the server's to fill in.
                    if target in known or ":" in target:
                        continue
                    near = self._report.suggest(target, known)
                    message = (
                        f"policy {action}: {name} has no attribute {quoted(target)}, so nobody passes{near}"
                    )
                    self._report.warning(self._declared[holder].at(f"policies.{action}"), message, name)

    def size(self, name: str) -> None:
        attributes = self._inventory.attributes[name]
        if len(attributes) > MOST_ATTRIBUTES:
            message = f"an object has at most {MOST_ATTRIBUTES} attributes; this one has {len(attributes)}"
            self._report.error(self._declared[name].position, message, name)
            return
        largest = {attribute: self._largest(name, attribute) for attribute in attributes}
        total = sum(largest.values())
        if total > LARGEST_STORED_OBJECT:
            attribute = max(largest, key=lambda a: largest[a])
            position = self._inventory.position(name, attribute, "length", "type")
            message = (
                f"an object could need {total} bytes of JSON, of at most {LARGEST_STORED_OBJECT}; "
                f"this attribute alone {largest[attribute]}: lower its `length`"
            )
            self._report.error(position, message, name, attribute)

    def _largest(self, name: str, attribute: str) -> int:
        keywords = self._inventory.attributes[name][attribute]
        size = largest_json(attribute, self._inventory.end_of_references(keywords))
        if attribute in ("profile", "vif_details") and self._inventory.role(name) is Role.PORT:
            # JSON inside JSON: a quote or line break in the text takes two bytes.
            return max(size, 2 * PORT_JSON_BYTES)
        return size
