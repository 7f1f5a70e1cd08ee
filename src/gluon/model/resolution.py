"""From a model's document to the compiled `Model`: inheritance, roles, keys and references worked out.

A document that the compiler has checked is enough: a shim or a client makes its model from the one that
the server publishes, with no YAML and no files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gluon.model.language import (
    ACTIONS,
    BASE_ROLES,
    DEFAULT_LENGTH,
    DEFAULT_POLICY,
    NARROWING,
    PLACES,
    attribute_type,
    fits,
)
from gluon.model.model import ApiObject, Attribute, AttributeType, Model, Role

Document = Mapping[str, Any]
Objects = Mapping[str, Any]
"""The `objects` of a document: each with `api`, `extends`, `attributes` and `policies` where it has them."""

UUID_KEY = "uuid"
"""The attribute that an object gets when it declares no primary one."""

# What a service binding calls its interface and its service, and an interface its port.
INTERFACE_ID, SERVICE_ID, PORT_ID = "interface_id", "service_id", "port_id"


def chain(objects: Objects, name: str) -> Iterator[str]:
    """The object, what it extends, what that extends, and so on; ends at a circle or an unknown name."""
    seen: set[str] = set()
    current: str | None = name
    while current is not None and current in objects and current not in seen:
        seen.add(current)
        yield current
        current = objects[current].get("extends")


def role(objects: Objects, name: str) -> Role:
    """The role that the nearest of the four base objects gives."""
    for ancestor in chain(objects, name):
        if ancestor in BASE_ROLES:
            return BASE_ROLES[ancestor]
    return Role.NONE


def merged_attributes(objects: Objects, name: str) -> dict[str, dict[str, Any]]:
    """The object's attributes with inherited ones first, each merged key by key.

    Keywords that were inherited and mean nothing for the type that the attribute has in the end (the
    length of a string that became a reference) are gone.
    """
    merged: dict[str, dict[str, Any]] = {}
    for ancestor in reversed(list(chain(objects, name))):
        for attribute, keywords in objects[ancestor].get("attributes", {}).items():
            merged.setdefault(attribute, {}).update(keywords)
    for keywords in merged.values():
        if "type" not in keywords:
            continue
        type_ = attribute_type(keywords["type"])
        for keyword in NARROWING & keywords.keys():
            if not fits(type_, keyword, keywords[keyword]):
                del keywords[keyword]
    return merged


def inherited_attributes(objects: Objects, name: str) -> dict[str, dict[str, Any]]:
    """The attributes that the object has before it says anything itself."""
    extends = objects[name].get("extends")
    return merged_attributes(objects, extends) if extends in objects and extends != name else {}


def primary_attributes(objects: Objects, name: str) -> tuple[str, ...]:
    """The primary attributes, the identifying one first: inherited ones before the object's own."""
    flags: dict[str, bool] = {}
    order: dict[str, None] = {}
    for ancestor in reversed(list(chain(objects, name))):
        for attribute, keywords in objects[ancestor].get("attributes", {}).items():
            if "primary" in keywords:
                flags[attribute] = bool(keywords["primary"])
                if keywords["primary"]:
                    order.setdefault(attribute)
    return tuple(attribute for attribute in order if flags[attribute])


def merged_policies(objects: Objects, name: str) -> dict[str, str]:
    """The rule of each action: the object's own, else the nearest inherited, else the default."""
    policies: dict[str, str] = {}
    for ancestor in chain(objects, name):
        for action, rule in objects[ancestor].get("policies", {}).items():
            policies.setdefault(action, rule)
    return {action: policies.get(action, DEFAULT_POLICY) for action in ACTIONS}


def canonical_json(document: Document) -> bytes:
    """The document as JSON with no whitespace: keywords in the language's order, names as declared."""
    ordered = {
        "file_version": document["file_version"],
        "service": document["service"],
        "info": _ordered(document["info"], "info"),
        "objects": {name: _ordered(object_, "object") for name, object_ in document["objects"].items()},
    }
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def digest(document: Document) -> str:
    """SHA-256 of the canonical JSON, in hex: two models with one digest say the same."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def _ordered(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    ordered: dict[str, Any] = {}
    for keyword in PLACES[place]:
        if keyword not in values:
            continue
        value = values[keyword]
        if keyword == "attributes":
            value = {name: _ordered(attribute, "attribute") for name, attribute in value.items()}
        elif isinstance(value, Mapping) and keyword in PLACES:
            value = _ordered(value, keyword)
        ordered[keyword] = value
    return ordered


def model_from_document(document: Document) -> Model:
    """The compiled model of a published document, equal to the one that was compiled from its files.

    The document is trusted: it came from a compiler that had checked it. Raises KeyError or ValueError
    for one that did not.
    """
    return _Assembly(document["objects"]).model(document)


class _Assembly:
    """Makes the API objects of one document."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._names = [name for name, declared in objects.items() if "api" in declared]
        self._roles = {name: role(objects, name) for name in self._names}
        self._merged = {name: self._with_key(name) for name in self._names}
        self._keys = {name: (primary_attributes(objects, name) or (UUID_KEY,)) for name in self._names}

    def model(self, document: Document) -> Model:
        return Model(
            service=document["service"],
            version=document["info"]["version"],
            description=document["info"].get("description", ""),
            objects=MappingProxyType({name: self._object(name) for name in self._names}),
            document=document,
            digest=digest(document),
        )

    def _with_key(self, name: str) -> dict[str, dict[str, Any]]:
        merged = merged_attributes(self._objects, name)
        if any(keywords.get("primary") for keywords in merged.values()):
            return merged
        key = {"type": "uuid", "primary": True, "description": "UUID that identifies the object"}
        return {UUID_KEY: key, **merged}

    def _with_role(self, wanted: Role) -> tuple[str, ...]:
        return tuple(name for name in self._names if self._roles[name] is wanted)

    def _key_keywords(self, name: str) -> dict[str, Any]:
        return self._merged[name][self._keys[name][0]]

    def _end_of_references(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """The keywords of the identifying key at the end of a chain of references."""
        for _ in self._names:
            if attribute_type(keywords["type"]) is not AttributeType.REFERENCE:
                break
            keywords = self._key_keywords(keywords["type"])
        return keywords

    def _value_type(self, keywords: dict[str, Any]) -> AttributeType:
        return attribute_type(self._end_of_references(keywords)["type"])

    def _refers_to(self, name: str, attribute: str, keywords: dict[str, Any]) -> tuple[str, ...]:
        if attribute_type(keywords["type"]) is AttributeType.REFERENCE:
            return (keywords["type"],)
        api = self._objects[name]["api"]
        if api.get("parent") is not None and api.get("parent_key") == attribute:
            return (api["parent"],)
        if keywords["type"] != "uuid":
            return ()
        own_role = self._roles[name]
        wanted = {
            (Role.INTERFACE, PORT_ID): Role.PORT,
            (Role.SERVICE_BINDING, INTERFACE_ID): Role.INTERFACE,
            (Role.SERVICE_BINDING, SERVICE_ID): Role.SERVICE,
        }.get((own_role, attribute))
        if wanted is None:
            return ()
        return tuple(
            target
            for target in self._with_role(wanted)
            if self._value_type(self._key_keywords(target)) is AttributeType.UUID
        )

    def _object(self, name: str) -> ApiObject:
        declared = self._objects[name]
        api = declared["api"]
        primary = self._keys[name]
        attributes = {
            attribute: self._attribute(name, attribute, keywords, is_key=attribute == primary[0])
            for attribute, keywords in self._merged[name].items()
        }
        return ApiObject(
            name=name,
            api_name=api["name"],
            plural=api["plural_name"],
            role=self._roles[name],
            attributes=MappingProxyType(attributes),
            key=primary[0],
            unique_together=primary if len(primary) > 1 else (),
            parent=api.get("parent"),
            parent_key=api.get("parent_key"),
            policies=MappingProxyType(merged_policies(self._objects, name)),
        )

    def _attribute(self, name: str, attribute: str, keywords: dict[str, Any], *, is_key: bool) -> Attribute:
        type_ = attribute_type(keywords["type"])
        end = self._end_of_references(keywords)
        value_type = attribute_type(end["type"])
        refers_to = self._refers_to(name, attribute, keywords)
        required = bool(keywords.get("required", False))
        if is_key:
            # A plain UUID is made by the server when it is left out; any other key only the client knows.
            required = value_type is not AttributeType.UUID or bool(refers_to)
        return Attribute(
            name=attribute,
            type=type_,
            value_type=value_type,
            target=keywords["type"] if type_ is AttributeType.REFERENCE else None,
            refers_to=refers_to,
            description=keywords.get("description", ""),
            required=required,
            primary=bool(keywords.get("primary", False)),
            length=end.get("length", DEFAULT_LENGTH) if value_type is AttributeType.STRING else None,
            values=tuple(end.get("values", ())),
            format=end.get("format"),
            minimum=end.get("min"),
            maximum=end.get("max"),
        )
