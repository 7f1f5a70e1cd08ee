"""The access rules of a model, in the terms of oslo.policy: one for each action on each kind of object."""

from __future__ import annotations

from dataclasses import dataclass

from gluon.model.model import ApiObject, Model
from gluon.particle.spelling import with_article

ACTIONS = ("create", "delete", "get", "list", "update")


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule as an operator's policy file may override it."""

    name: str
    """`<service>:<action>_<api name>`, the same in every version of the service."""
    rule: str
    description: str
    operations: tuple[tuple[str, str], ...]
    """The requests that ask this rule, as (method, path with `{placeholders}`)."""


def rule_name(service: str, action: str, api_name: str) -> str:
    """How the rule for one action on one kind of object is called."""
    return f"{service}:{action}_{api_name}"


def policy_rules(model: Model) -> tuple[PolicyRule, ...]:
    """Every rule of the model, objects in declared order."""
    return tuple(
        PolicyRule(
            rule_name(model.service, action, api_object.api_name),
            api_object.policies[action],
            _description(model, action, api_object),
            _operations(model, action, api_object),
        )
        for api_object in model.objects.values()
        for action in ACTIONS
    )


def _description(model: Model, action: str, api_object: ApiObject) -> str:
    if action == "list":
        own = "; everyone may list their own" if "tenant_id" in api_object.attributes else ""
        return f"List all {api_object.plural} of {model.service}{own}."
    return f"{action.capitalize()} {with_article(api_object.api_name)} of {model.service}."


def _operations(model: Model, action: str, api_object: ApiObject) -> tuple[tuple[str, str], ...]:
    collections = [f"/proton/{model.service}/{model.version_id}/{api_object.plural}"]
    if api_object.parent is not None:
        parent = model.objects[api_object.parent]
        collections.append(
            f"/proton/{model.service}/{model.version_id}/{parent.plural}/{{{api_object.parent_key}}}/{api_object.plural}"
        )
    items = [f"{collection}/{{{api_object.key}}}" for collection in collections]
    methods = {
        "create": ["POST"],
        "list": ["GET"],
        "get": ["GET"],
        "update": ["PUT", "PATCH"],
        "delete": ["DELETE"],
    }
    paths = collections if action in ("create", "list") else items
    return tuple((method, path) for path in paths for method in methods[action])
