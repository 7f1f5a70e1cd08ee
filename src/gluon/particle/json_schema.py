"""JSON Schemas (2020-12) of an object's bodies and answers, which agree with its validator.

Where JSON Schema cannot say what the validator does, the schema is the wider of the two: it admits
1.0 for an integer, a number that no 64-bit float holds exactly, NUL and half surrogate pairs in
strings, and text that lacks its `format`, which schemas only annotate. Fields that the server made may
come back in an update with any value of their type; whether they are unchanged is seen later.
"""

from __future__ import annotations

from typing import Any

from gluon.model.model import ApiObject, Attribute, AttributeType
from gluon.particle.spelling import with_article
from gluon.particle.validators import server_makes_key
from gluon.particle.values import (
    NOT_KEYS,
    empty_is_null,
    integer_range,
    is_reference,
    text_format,
    text_limits,
)

Schema = dict[str, Any]

_UUID = "[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"

SERVER_FIELDS: dict[str, Schema] = {
    "created_at": {
        "type": "string",
        "format": "date-time",
        "readOnly": True,
        "description": "When the object was created.",
    },
    "updated_at": {
        "type": ["string", "null"],
        "format": "date-time",
        "readOnly": True,
        "description": "When the object was last changed.",
    },
    "revision_number": {
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "readOnly": True,
        "description": "Grows with every change; the object's ETag.",
    },
}
"""What the server adds to each object."""


def create_schema(api_object: ApiObject, *, under_parent: bool = False) -> Schema:
    """The body that creates an object; `under_parent`: in a URL that names the parent already."""
    optional = {api_object.key} if server_makes_key(api_object) else set()
    if under_parent and api_object.parent_key is not None:
        optional.add(api_object.parent_key)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for name, attribute in api_object.attributes.items():
        must = (attribute.required or name == api_object.key) and name not in optional
        empty = empty_is_null(attribute) or (name == api_object.key and not must)
        properties[name] = _described(
            attribute, _schema(api_object, attribute, nullable=not must, empty=empty and not must)
        )
        if must:
            required.append(name)
    return _body(properties, required)


def update_schema(api_object: ApiObject) -> Schema:
    """The body that changes an object: whatever is to change, null clears."""
    properties: dict[str, Schema] = {}
    for name, attribute in api_object.attributes.items():
        must = attribute.required or name == api_object.key
        empty = empty_is_null(attribute) and not must
        properties[name] = _described(
            attribute, _schema(api_object, attribute, nullable=not must, empty=empty)
        )
    return _body({**properties, **SERVER_FIELDS}, [])


def object_schema(api_object: ApiObject) -> Schema:
    """An object as answers show it."""
    properties: dict[str, Schema] = {}
    for name, attribute in api_object.attributes.items():
        must = attribute.required or name == api_object.key
        properties[name] = _described(
            attribute, _schema(api_object, attribute, nullable=not must, empty=False)
        )
    properties |= SERVER_FIELDS
    return {"type": "object", "properties": properties, "required": list(properties)}


def filter_schema(attribute: Attribute) -> Schema:
    """One value to filter a list by; ranges and formats don't matter there, and an empty text is null."""
    kind = attribute.value_type
    if kind is AttributeType.BOOLEAN:
        return {"type": "boolean"}
    if kind is AttributeType.INTEGER:
        return {"type": "integer", "format": "int64"}
    if kind is AttributeType.NUMBER:
        return {"type": "number", "format": "double"}
    if kind is AttributeType.ENUM and attribute.values:
        return {"type": "string", "enum": [*attribute.values, *([] if attribute.required else [""])]}
    return {"type": "string"}


def _body(properties: dict[str, Schema], required: list[str]) -> Schema:
    body: Schema = {"type": "object", "properties": properties}
    if required:
        body["required"] = required
    body["additionalProperties"] = False
    return body


def _described(attribute: Attribute, schema: Schema) -> Schema:
    text = " ".join(attribute.description.split())
    if attribute.refers_to:
        refers = f"Identifies {with_article(' or '.join(attribute.refers_to))}."
        text = f"{text.rstrip('.')}. {refers}" if text else refers
    return {**schema, "description": text} if text else schema


def _schema(api_object: ApiObject, attribute: Attribute, *, nullable: bool, empty: bool) -> Schema:
    kind = attribute.value_type
    if kind is AttributeType.BOOLEAN:
        schema: Schema = {"type": "boolean"}
    elif kind is AttributeType.INTEGER:
        least, greatest = integer_range(attribute)
        width = "int32" if attribute.format == "int32" else "int64"
        schema = {"type": "integer", "format": width, "minimum": least, "maximum": greatest}
    elif kind is AttributeType.NUMBER:
        schema = {"type": "number", "format": "double"}
        if attribute.minimum is not None:
            schema["minimum"] = attribute.minimum
        if attribute.maximum is not None:
            schema["maximum"] = attribute.maximum
    elif kind is AttributeType.UUID:
        schema = {"type": "string", "pattern": f"^({_UUID}){'?' if empty else ''}$"}
    elif kind is AttributeType.ENUM and attribute.values:
        extra = ([""] if empty else []) + ([None] if nullable else [])
        values = [v for v in attribute.values if attribute.name != api_object.key or v not in NOT_KEYS]
        schema = {"type": "string", "enum": list(dict.fromkeys([*values, *extra]))}
    else:
        schema = _string(api_object, attribute, empty=empty)
    types = [schema["type"]]
    if empty and "string" not in types:
        types.append("string")
        schema["maxLength"] = 0
    if nullable:
        types.append("null")
    if len(types) > 1:
        schema["type"] = types
    return schema


def _string(api_object: ApiObject, attribute: Attribute, *, empty: bool) -> Schema:
    key = attribute.name == api_object.key
    form = text_format(attribute)
    schema: Schema = {"type": "string"}
    if form == "json":
        schema["contentMediaType"] = "application/json"
    elif form is not None:
        schema["format"] = form
    if not empty and (key or form is not None or is_reference(attribute)):
        schema["minLength"] = 1
    schema["maxLength"] = max(text_limits(attribute, api_object.role))
    if key:
        schema["not"] = {"enum": list(NOT_KEYS)}
    return schema
