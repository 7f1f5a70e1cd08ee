"""Rule strings of policies: the base rules that models may name, and what a rule string must look like.

The strings are oslo.policy's, and its parser has the last word; it only logs what it can't read and then
denies, so the grammar is checked here first, where the error can say what is wrong. oslo.policy is
imported when a rule is parsed, not before: a controller's node reads models without ever doing that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gluon.model.problems import nearest_spelling, quoted

# oslo.policy's checks are nested objects, walked recursively at each request.
LONGEST_RULE = 2000
DEEPEST_RULE = 50


@dataclass(frozen=True, slots=True)
class BaseRule:
    """A rule that every service has and that policies name as `rule:<name>`."""

    name: str
    rule: str
    description: str


def _rules(*rules: tuple[str, str, str]) -> Mapping[str, BaseRule]:
    return MappingProxyType({name: BaseRule(name, rule, description) for name, rule, description in rules})


BASE_RULES = _rules(
    ("context_is_admin", "role:admin", "Administrators of the cloud"),
    ("owner", "tenant_id:%(tenant_id)s", "Members of the project that owns the object"),
    ("admin_or_owner", "rule:context_is_admin or rule:owner", "Administrators, and the object's owner"),
    ("context_is_advsvc", "role:advsvc", "Services that act for all projects"),
    (
        "admin_or_network_owner",
        "rule:context_is_admin or tenant_id:%(network:tenant_id)s",
        "Administrators, and the owner of the network behind the object",
    ),
    (
        "admin_owner_or_network_owner",
        "rule:owner or rule:admin_or_network_owner",
        "Administrators, the object's owner, and the owner of the network behind it",
    ),
    ("admin_only", "rule:context_is_admin", "Administrators and nobody else"),
    ("regular_user", "", "Everyone who is logged in"),
    ("admin", "rule:context_is_admin", "Administrators; the short name that models use"),
    ("default", "rule:admin_or_owner", "What holds for an action that a model says nothing about"),
)
"""The rules that models may name; an operator can change them in the policy file, never add to them."""


class RuleError(ValueError):
    """A rule string that is none; the text says why."""


_TARGET = re.compile(r"%\(([^)]*)\)s")


def targets(rule: str) -> tuple[str, ...]:
    """The names of the object's attributes that a rule compares with: `tenant_id` of `%(tenant_id)s`."""
    return tuple(_TARGET.findall(rule))


def check_rule(rule: str) -> None:
    """Raise RuleError for a string that is no rule, calls out over the network, or names an unknown rule."""
    if len(rule) > LONGEST_RULE:
        raise RuleError(f"a rule has at most {LONGEST_RULE} characters")
    _check_grammar(rule)
    from oslo_policy import policy

    tree = policy.RuleDefault("model", rule).check
    for check in _checks(tree):
        # Operators' extensions register kinds of their own, and all there are call some other server.
        if type(check).__name__ not in _KNOWN_CHECKS:
            raise RuleError(f"{quoted(str(check))} would ask another server; a model's rules decide here")


_KNOWN_CHECKS = frozenset(
    {"TrueCheck", "FalseCheck", "AndCheck", "OrCheck", "NotCheck", "RoleCheck", "RuleCheck", "GenericCheck"}
)


def _checks(tree: Any) -> Iterator[Any]:
    pending = [tree]
    while pending:
        check = pending.pop()
        yield check
        pending += getattr(check, "rules", ())
        if (negated := getattr(check, "rule", None)) is not None and type(check).__name__ == "NotCheck":
            pending.append(negated)


def _check_grammar(rule: str) -> None:
    """Operands joined by `and` and `or`, each with any number of `not` before it, and parentheses."""
    depth = 0
    deepest = 0
    expects_operand = True
    empty = True
    for token in _tokens(rule):
        empty = False
        word = token.lower()
        if token == "(" or word == "not":
            if not expects_operand:
                raise RuleError(f"`and` or `or` is missing before {quoted(token)}")
            depth += token == "("
            deepest += 1
        elif token == ")":
            depth -= 1
            if depth < 0:
                raise RuleError("a closing parenthesis has no opening one")
            if expects_operand:
                raise RuleError("there is nothing between an opening or joining word and ')'")
        elif word in ("and", "or"):
            if expects_operand:
                raise RuleError(f"{quoted(token)} has nothing before it")
            expects_operand = True
        else:
            if not expects_operand:
                raise RuleError(f"`and` or `or` is missing before {quoted(token)}")
            _check_operand(token)
            expects_operand = False
    if empty:
        if rule:
            raise RuleError("the rule is blank; @ lets everyone, ! nobody")
        return
    if expects_operand:
        raise RuleError("the rule ends where another check should stand")
    if depth:
        raise RuleError("a parenthesis is not closed")
    if deepest > DEEPEST_RULE:
        raise RuleError(f"more than {DEEPEST_RULE} parentheses and negations")


def _tokens(rule: str) -> Iterator[str]:
    for word in rule.split():
        inner = word.lstrip("(")
        yield from "(" * (len(word) - len(inner))
        bare = inner.rstrip(")")
        if bare:
            yield bare
        yield from ")" * (len(inner) - len(bare))


def _check_operand(token: str) -> None:
    if token in ("@", "!"):
        return
    kind, colon, match = token.partition(":")
    if not colon:
        near = nearest_spelling(token, BASE_RULES)
        hint = (
            f"write rule:{near}" if near else "write rule:<name>, role:<name> or <attribute>:%(<attribute>)s"
        )
        raise RuleError(f"{quoted(token)} is no check; {hint}")
    if kind in ("http", "https"):
        raise RuleError(f"{quoted(token)} would ask another server; a model's rules decide here")
    if not kind or not match:
        raise RuleError(f"{quoted(token)} lacks what stands before or behind the colon")
    if "%" in match and _TARGET.sub("", match).count("%"):
        raise RuleError(f"{quoted(token)}: an attribute is written %(name)s")
    if kind == "rule":
        if match not in BASE_RULES:
            near = nearest_spelling(match, BASE_RULES)
            known = f" (did you mean {near!r}?)" if near else f"; there are {', '.join(BASE_RULES)}"
            raise RuleError(f"there is no rule {quoted(match)}{known}")
    elif kind.lower() in ("rule", "role") and kind != "role":
        raise RuleError(f"{quoted(kind)} must be in small letters: {kind.lower()}:{match}")
    elif "%" not in match and (near := nearest_spelling(kind, ("rule", "role"))) and kind != "role":
        raise RuleError(f"{quoted(token)} is no check (did you mean '{near}:{match}'?)")
