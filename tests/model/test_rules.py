from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_policy import policy

from gluon.model.rules import BASE_RULES, RuleError, check_rule, targets


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "@",
        "!",
        "rule:admin_or_owner",
        "role:admin",
        "role:admin and not role:reader",
        "(rule:admin) or (role:a and (role:b or not (role:c)))",
        "tenant_id:%(tenant_id)s",
        "project_id:%(tenant_id)s OR is_admin:True",
        "'ACTIVE':%(status)s",
        "rule:admin_owner_or_network_owner",
    ],
)
def test_a_rule_of_oslo_policy_is_taken(rule: str) -> None:
    check_rule(rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("rule:admn_or_owner", "there is no rule 'admn_or_owner' (did you mean 'admin_or_owner'?)"),
        ("rule:zzz", "there is no rule 'zzz'; there are context_is_admin, owner"),
        ("admin", "'admin' is no check; write rule:admin"),
        ("rol:admin", "'rol:admin' is no check (did you mean 'role:admin'?)"),
        ("Role:admin", "'Role' must be in small letters: role:admin"),
        ("http://example.org/%(name)s", "would ask another server"),
        ("role:a and https:x", "would ask another server"),
        ("role:", "lacks what stands before or behind the colon"),
        ("role:a role:b", "`and` or `or` is missing before 'role:b'"),
        ("role:a and", "the rule ends where another check should stand"),
        ("or role:a", "'or' has nothing before it"),
        ("(role:a", "a parenthesis is not closed"),
        ("role:a)", "a closing parenthesis has no opening one"),
        ("()", "there is nothing between"),
        ("   ", "the rule is blank"),
        ("tenant_id:%(tenant_id)", "an attribute is written %(name)s"),
        ("not " * 60 + "role:a", "more than 50 parentheses and negations"),
        ("role:" + "a" * 3000, "at most 2000 characters"),
    ],
)
def test_a_wrong_rule_is_refused_with_the_reason(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        check_rule(rule)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", BASE_RULES)
def test_base_rules_are_rules_themselves(name: str) -> None:
    check_rule(BASE_RULES[name].rule)


def test_the_attributes_that_a_rule_compares_with_are_known() -> None:
    assert targets("tenant_id:%(tenant_id)s or a:%(b)s") == ("tenant_id", "b")


_WORDS = [
    "and",
    "or",
    "not",
    "(",
    ")",
    "((",
    "role:a",
    "rule:admin",
    "a:%(b)s",
    "@",
    "!",
    "http://x",
    "x",
    "'y'",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join))
def test_what_passes_is_what_oslo_policy_can_read(rule: str) -> None:
    complaints: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = complaints.append  # type: ignore[method-assign]
    logger = logging.getLogger("oslo_policy._parser")
    logger.addHandler(handler)
    try:
        try:
            check_rule(rule)
        except RuleError:
            return
        policy.RuleDefault("x", rule)
    finally:
        logger.removeHandler(handler)
    assert complaints == []


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_makes_the_check_fail(rule: str) -> None:
    try:
        check_rule(rule)
    except RuleError as error:
        assert str(error)
