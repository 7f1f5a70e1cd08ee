"""The words of the model language, file version 1.0: the one place that defines them.

The compiler accepts what stands here, `docs/models.md` must explain each keyword (a test compares the
two), and `gluon-api-tool` quotes the meanings in its messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gluon.model.formats import FORMATS
from gluon.model.model import AttributeType, Role

FILE_VERSIONS = ("1.0",)
LATER_FILE_VERSIONS = ("1.1",)

LARGEST_FILE = 1024 * 1024
"""Bytes of one file."""
MOST_OBJECTS = 500
"""Objects of one model, base objects included."""
MOST_ALIASES = 100
"""YAML aliases in one file."""
MOST_ATTRIBUTES = 1000
"""Attributes of one object: InnoDB tables have at most 1017 columns, a few of which are the server's."""
LARGEST_STORED_OBJECT = 512 * 1024
"""Bytes of JSON that one object may need in etcd, whose requests end at 1.5 MiB."""
DEFAULT_LENGTH = 255
"""Characters of a string that says no `length`."""
LONGEST_NAME = 48
"""Characters of the name of an object or attribute."""
LONGEST_API_NAME = 64
"""Characters of an API name, a plural or a service's name."""
PORT_JSON_BYTES = 64 * 1024
"""Bytes that a port's `profile` and `vif_details` may have, whatever their `length` says."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
API_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VERSION = re.compile(r"[0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class Keyword:
    """A key of the language at one place: what it means, and whether it must be there."""

    name: str
    meaning: str
    required: bool = False


def _place(*keywords: Keyword) -> Mapping[str, Keyword]:
    return MappingProxyType({keyword.name: keyword for keyword in keywords})


PLACES: Mapping[str, Mapping[str, Keyword]] = MappingProxyType(
    {
        "file": _place(
            Keyword("file_version", "the version of the model language"),
            Keyword("imports", "one path or a list of paths of files whose objects are merged in"),
            Keyword("info", "what the service is called, and in which version"),
            Keyword("objects", "API objects and base objects by name"),
        ),
        "info": _place(
            Keyword("name", "the service's name, the same as its folder's"),
            Keyword("version", "the version of the service; `v` and this stand in URLs", required=True),
            Keyword("description", "what the service is for"),
            Keyword("author", "who answers for the model"),
        ),
        "author": _place(
            Keyword("name", "the author's name"),
            Keyword("url", "where to read more"),
            Keyword("email", "where to write to"),
        ),
        "object": _place(
            Keyword("api", "makes the object an API object"),
            Keyword("extends", "the base object whose attributes and policies are inherited"),
            Keyword("attributes", "the object's attributes by name"),
            Keyword("policies", "who may do what, by action"),
        ),
        "api": _place(
            Keyword("name", "the singular, for commands and policies", required=True),
            Keyword("plural_name", "the collection's name in URLs; `name` and an s if left out"),
            Keyword("parent", "the object under which these objects stand in URLs"),
            Keyword("parent_key", "the attribute that refers to the parent"),
        ),
        "attribute": _place(
            Keyword("type", "the type of the values, or the name of the API object that they refer to"),
            Keyword("primary", "whether the attribute identifies the object"),
            Keyword("description", "what the attribute says, with its unit"),
            Keyword("required", "whether it must be given at creation"),
            Keyword("length", "the most characters of a string; 255 if left out"),
            Keyword("values", "the values of an enum"),
            Keyword("format", "a closer form of a string or integer"),
            Keyword("min", "the smallest value of an integer or number"),
            Keyword("max", "the largest value of an integer or number"),
        ),
        "policies": _place(
            Keyword("create", "who may create"),
            Keyword("delete", "who may delete"),
            Keyword("list", "who may list the objects of all tenants"),
            Keyword("get", "who may read one"),
            Keyword("update", "who may change"),
        ),
        "policy": _place(Keyword("role", "the rule, in the longer spelling of a policy", required=True)),
    }
)

ACTIONS: tuple[str, ...] = tuple(PLACES["policies"])
DEFAULT_POLICY = "rule:default"

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "integer": "a whole number, 64 bits wide unless a format says otherwise",
        "number": "a number with or without a fraction, as JSON has them",
        "string": "text of at most `length` characters",
        "boolean": "true or false",
        "uuid": "a UUID (RFC 9562), with or without dashes",
        "enum": "one of the texts in `values`",
    }
)
"""The types that models may name, besides the names of API objects."""

_TYPES_BY_NAME = MappingProxyType({name: AttributeType(name) for name in TYPES})

TYPE_KEYWORDS: Mapping[AttributeType, frozenset[str]] = MappingProxyType(
    {
        AttributeType.INTEGER: frozenset({"format", "min", "max"}),
        AttributeType.NUMBER: frozenset({"min", "max"}),
        AttributeType.STRING: frozenset({"length", "format"}),
        AttributeType.BOOLEAN: frozenset(),
        AttributeType.UUID: frozenset(),
        AttributeType.ENUM: frozenset({"values"}),
        AttributeType.REFERENCE: frozenset(),
    }
)
"""Which of the keywords that narrow a type each type has."""
NARROWING = frozenset({"length", "values", "format", "min", "max"})

BASE_ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "BasePort": Role.PORT,
        "BaseInterface": Role.INTERFACE,
        "BaseService": Role.SERVICE,
        "BaseServiceBinding": Role.SERVICE_BINDING,
    }
)
"""The base objects that give what extends them a role in binding."""

RESERVED_ATTRIBUTES = frozenset({"created_at", "updated_at", "revision_number"})
"""Every object has these in the API; the server writes them."""
RESERVED_PORT_ATTRIBUTES = frozenset({"bind_id", "bind_state", "bindings"})
"""Ports have these in etcd or in the database; the server writes them."""
RESERVED_PLURALS = frozenset({"docs", "openapi.json"})
"""These stand beside the collections in a version's URL."""
RESERVED_CHILD_PLURALS = frozenset({"status"})
"""This stands below every object, where its children's collections are."""
RESERVED_PORT_CHILD_PLURALS = frozenset({"bindings"})
"""This stands below every port."""


def attribute_type(text: str) -> AttributeType:
    """The type that `type: text` names; any word that is no built-in type names an object."""
    return _TYPES_BY_NAME.get(text, AttributeType.REFERENCE)


def canonical_format(text: str) -> str:
    """The one spelling of a format that has two."""
    return "uri" if text == "url" else text


def fits(type_: AttributeType, keyword: str, value: object) -> bool:
    """Whether a keyword that narrows a type means something for this one."""
    if keyword not in TYPE_KEYWORDS[type_]:
        return False
    if keyword != "format":
        return True
    format_ = FORMATS.get(str(value))
    return format_ is None or format_.type is type_
