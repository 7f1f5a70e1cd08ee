"""Access rules: who may do what to which object.

Rules come from the models and from the base rules that they name; an operator's policy file overrides
them. A rule that asks for nothing but the caller and the object's tenant is decided once for each pair
and remembered, since asking oslo.policy costs a third of a millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from gluon.model.model import ApiObject, Model
from gluon.model.rules import BASE_RULES, targets
from gluon.particle.policies import policy_rules, rule_name
from gluon.proton.identity import Identity
from gluon.store.owner import normalised_owner

_DECISIONS_KEPT = 10_000


class Authorizer:
    """Decides by the rules of one model.

    Safe to call from the event loop and from the database's threads alike.
    """

    def __init__(self, conf: cfg.ConfigOpts, model: Model) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.suppress_default_change_warnings = True
        self._enforcer.register_defaults(
            [policy.RuleDefault(rule.name, rule.rule, rule.description) for rule in BASE_RULES.values()]
        )
        self._enforcer.register_defaults(
            [policy.RuleDefault(rule.name, rule.rule, rule.description) for rule in policy_rules(model)]
        )
        self._enforcer.load_rules()
        self._service = model.service
        self._lock = Lock()
        self._decide_by_tenant = lru_cache(_DECISIONS_KEPT)(self._decide)
        self._tenant_only = {
            name: self._fields_of(name) <= {"tenant_id"} for name in self._enforcer.registered_rules
        }

    def may(self, identity: Identity, action: str, api: ApiObject, target: Mapping[str, Any]) -> bool:
        """Whether the caller may do `action` to the object `target` (attribute to stored value)."""
        name = rule_name(self._service, action, api.api_name)
        tenant = normalised_owner(target.get("tenant_id"))
        if self._tenant_only[name]:
            return self._decide_by_tenant(name, identity, tenant)
        return self._decide(name, identity, tenant, target)

    def may_list_all(self, identity: Identity, api: ApiObject) -> bool:
        """Whether the caller may list every tenant's objects; everyone may list their own."""
        return self.may(identity, "list", api, {})

    def _decide(
        self, name: str, identity: Identity, tenant: str | None, target: Mapping[str, Any] | None = None
    ) -> bool:
        caller = normalised_owner(identity.tenant_id)
        credentials = {
            "user_id": identity.user_id,
            "tenant_id": caller,
            "project_id": caller,
            "roles": sorted(identity.roles),
        }
        # A caller without a tenant must not own the objects that have none.
        facts = {**(target or {}), "tenant_id": tenant if tenant is not None else ""}
        with self._lock:
            return bool(self._enforcer.enforce(name, facts, credentials))

    def _fields_of(self, name: str) -> set[str]:
        """The fields of the target that a rule looks at, through the rules that it names."""
        seen: set[str] = set()
        fields: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            text = str(self._enforcer.rules[current]) if current in self._enforcer.rules else ""
            fields.update(targets(text))
            waiting.extend(re.findall(r"rule:([^\s()]+)", text))
        return fields


def list_rules() -> list[policy.RuleDefault]:
    """The rules of the bundled models and the base rules (entry point `oslo.policy.policies`)."""
    from gluon.model.catalog import load_catalog

    catalog = load_catalog(None)
    rules = [policy.RuleDefault(rule.name, rule.rule, rule.description) for rule in BASE_RULES.values()]
    return rules + [
        policy.RuleDefault(rule.name, rule.rule, rule.description)
        for service in catalog.services
        for rule in policy_rules(catalog.newest(service))
    ]
