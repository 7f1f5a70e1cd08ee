from __future__ import annotations

import pytest

from model.written import compile_objects, only_error, thing, warnings


def with_policies(policies: str) -> str:
    return f"Thing: {{api: {{name: thing}}, attributes: {{tenant_id: {{type: uuid}}}}, policies: {policies}}}"


def test_both_spellings_of_a_policy_say_the_same() -> None:
    made = thing(compile_objects(with_policies("{create: 'rule:admin', get: {role: 'rule:admin'}}")))
    assert made.policies["create"] == made.policies["get"] == "rule:admin"


def test_every_action_has_a_rule() -> None:
    made = thing(compile_objects("Thing: {api: {name: thing}}"))
    assert dict(made.policies) == dict.fromkeys(("create", "delete", "list", "get", "update"), "rule:default")


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ("{creat: '@'}", "'creat' is no action of policies (did you mean 'create'?)"),
        ("{create: 'rule:admn'}", "policy create: there is no rule 'admn' (did you mean 'admin'?)"),
        ("{create: {role: 'rule:admn'}}", "policy create: there is no rule 'admn' (did you mean 'admin'?)"),
        ("{create: {rule: 'rule:admin'}}", "'rule' is no keyword of a policy (did you mean 'role'?)"),
        ("{create: }", "create is empty"),
        ("{create: true}", "create: YAML takes true for true or false"),
        ("{create: ['rule:admin']}", "create must be one rule; join several with `or`"),
        ("{create: 'http://x'}", "policy create: 'http://x' would ask another server"),
        ("'rule:admin'", "policies must be a mapping"),
    ],
)
def test_a_wrong_policy_is_told(policies: str, message: str) -> None:
    error = only_error(compile_objects(with_policies(policies)))
    assert ": Thing: " in error
    assert message in error


def test_a_rule_that_compares_with_no_attribute_is_warned_of() -> None:
    found = warnings(compile_objects(with_policies("{get: 'tenant_id:%(tenant)s'}")))
    assert len(found) == 1
    assert (
        "policy get: Thing has no attribute 'tenant', so nobody passes (did you mean 'tenant_id'?)"
        in found[0]
    )


def test_an_empty_rule_is_warned_of() -> None:
    found = warnings(compile_objects(with_policies("{get: ''}")))
    assert "policy get: an empty rule lets everyone; write '@' if that is meant" in found[0]
