from __future__ import annotations

from oslo_policy import policy

from gluon.particle.policies import policy_rules, rule_name
from particle.made import everything, upstream


def test_every_action_on_every_object_has_a_rule() -> None:
    model = upstream("net-l3vpn")
    rules = {rule.name: rule for rule in policy_rules(model)}
    assert set(rules) == {
        f"net-l3vpn:{action}_{o.api_name}"
        for o in model.objects.values()
        for action in ("create", "delete", "get", "list", "update")
    }
    assert rule_name("net-l3vpn", "get", "port") in rules


def test_a_rule_is_the_model_s_and_can_be_parsed() -> None:
    rules = {rule.name: rule for rule in policy_rules(upstream("net-l3vpn"))}
    assert rules["net-l3vpn:create_port"].rule == "rule:admin_or_owner"
    assert rules["net-l3vpn:list_vpn"].rule == "rule:admin"
    for rule in policy_rules(everything()):
        assert str(policy.RuleDefault(rule.name, rule.rule).check) != "!"


def test_a_rule_tells_for_which_requests_it_is_asked() -> None:
    rules = {rule.name: rule for rule in policy_rules(upstream("net-l3vpn"))}
    base = "/proton/net-l3vpn/v1.0"
    assert rules["net-l3vpn:create_interface"].operations == (
        ("POST", f"{base}/interfaces"),
        ("POST", f"{base}/ports/{{port_id}}/interfaces"),
    )
    assert rules["net-l3vpn:update_port"].operations == (
        ("PUT", f"{base}/ports/{{id}}"),
        ("PATCH", f"{base}/ports/{{id}}"),
    )
    assert rules["net-l3vpn:update_interface"].description == "Update an interface of net-l3vpn."
