"""The parts of an OpenAPI document that are the same for every service."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gluon.model.model import ApiObject
from gluon.particle.json_schema import Schema, filter_schema

Operation = dict[str, Any]

READ_ERRORS = ("400", "401", "403", "404", "503")
CREATE_ERRORS = ("400", "401", "403", "404", "409", "413", "422", "503")
UPDATE_ERRORS = ("400", "401", "403", "404", "409", "412", "413", "422", "503")
DELETE_ERRORS = ("400", "401", "403", "404", "409", "412", "503")
SHARED_SCHEMAS: Mapping[str, Any] = MappingProxyType(
    {
        "gluon.Link": {
            "type": "object",
            "properties": {
                "href": {"type": "string", "format": "uri"},
                "rel": {"type": "string", "enum": ["self", "next"]},
            },
            "required": ["href", "rel"],
        },
        "gluon.Problem": {
            "type": "object",
            "description": "What is wrong with a request (RFC 9457).",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {
                    "type": "array",
                    "description": "One entry for each wrong field or query parameter.",
                    "items": {
                        "type": "object",
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                        "required": ["field", "message"],
                    },
                },
                "referrers": {
                    "type": "array",
                    "description": "What still refers to the object.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "object": {"type": "string"},
                            "key": {"type": ["string", "number", "boolean"]},
                            "attribute": {"type": "string"},
                            "href": {"type": "string"},
                        },
                        "required": ["object", "key", "attribute", "href"],
                    },
                },
                "request_id": {"type": "string"},
            },
            "required": ["title", "status", "detail", "request_id"],
        },
        "gluon.EventStream": {
            "type": "string",
            "description": "Server-Sent Events (WHATWG HTML, section 9.2). ADDED, MODIFIED and DELETED: "
            "`data` is the object, `id` where to go on. BOOKMARK: `data` is `{revision, snapshot_complete}`. "
            "TOO_OLD: `data` is `{reason, detail}`; begin anew without an id.",
        },
        "gluon.Status": {
            "type": "object",
            "properties": {
                "status": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "controller": {"type": "string"},
                            "state": {"type": "string"},
                            "reason": {"type": ["string", "null"]},
                            "revision_number": {"type": ["integer", "null"]},
                            "time": {"type": ["string", "null"], "format": "date-time"},
                            "backend": {"type": ["string", "null"]},
                            "required": {
                                "type": "boolean",
                                "description": "Whether a port is ACTIVE only when it has applied it.",
                            },
                        },
                        "required": ["controller", "state"],
                    },
                }
            },
            "required": ["status"],
        },
    }
)


def _query(name: str, description: str, schema: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **further}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_COMMAS = {"style": "form", "explode": False}

PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "limit": _query(
            "limit",
            "At most so many objects; a number above the server's own limit is cut to it.",
            {"type": "integer", "minimum": 1},
        ),
        "marker": _query(
            "marker", "Key of the last object of the page before the wanted one.", {"type": "string"}
        ),
        "sort_key": _query("sort_key", "Sort by these attributes.", _list_of({"type": "string"}), **_COMMAS),
        "sort_dir": _query(
            "sort_dir",
            "Directions, in the order of `sort_key`.",
            _list_of({"type": "string", "enum": ["asc", "desc"]}),
            **_COMMAS,
        ),
        "fields": _query(
            "fields",
            "Only these attributes; the answer has no others, required or not.",
            _list_of({"type": "string"}),
            **_COMMAS,
        ),
        "watch": _query(
            "watch",
            "Instead of a page, a stream of what changes: first all objects, then each change. Without a "
            "value it means true. `limit`, `marker`, `sort_key` and `sort_dir` can't be combined with it.",
            {"type": "boolean", "default": False},
            allowEmptyValue=True,
        ),
        "start_revision": _query(
            "start_revision",
            "With `watch`: no snapshot, but what came after the event with this id, or after this revision "
            "of etcd.",
            {"type": "string"},
        ),
        "Last-Event-ID": _header(
            "Last-Event-ID", "With `watch`: the same as `start_revision`, and before it."
        ),
        "cascade": _query(
            "cascade", "Delete all that refers to the object too.", {"type": "boolean", "default": False}
        ),
        "dry_run": _query(
            "dry_run",
            "Change nothing, and answer as if it were done; no bind is begun or waited for.",
            {"type": "boolean", "default": False},
        ),
        "If-Match": _header(
            "If-Match", 'Only if the object is at this revision: its ETag, as `"7"`, or `*`.'
        ),
        "If-None-Match": _header(
            "If-None-Match", "Only if the object is at another revision than this ETag."
        ),
    }
)

HEADERS: Mapping[str, Any] = MappingProxyType(
    {
        "ETag": {
            "description": 'The `revision_number` in quotes, as `"7"`.',
            "schema": {"type": "string"},
        },
        "Location": {
            "description": "URL of the new object; not sent for a bulk create.",
            "schema": {"type": "string", "format": "uri"},
        },
        "Retry-After": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer"},
        },
    }
)


def _problem(description: str, **headers: Any) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/gluon.Problem"}}}
    return {"description": description, **({"headers": headers} if headers else {}), "content": problem}


RESPONSES: Mapping[str, Any] = MappingProxyType(
    {
        "400": _problem("The request can't be read: the body is no JSON, or a query parameter is wrong."),
        "401": _problem("The caller is not authenticated."),
        "403": _problem("The access rules don't let the caller do this."),
        "404": _problem("What the path names does not exist, or the caller may not see it."),
        "409": _problem(
            "The key is taken, or other objects still refer to this one: `referrers` names them."
        ),
        "412": _problem("The object is at another revision than If-Match asks for."),
        "413": _problem("The body is too large."),
        "422": _problem("Fields are wrong, or refer to what does not exist: `errors` names all of them."),
        "503": _problem(
            "Something that the server needs is away; nothing was changed.",
            **{"Retry-After": {"$ref": "#/components/headers/Retry-After"}},
        ),
    }
)


def ref(kind: str, name: str) -> dict[str, str]:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def described_answer(description: str, schema: Schema, *headers: str) -> dict[str, Any]:
    """An answer with a JSON document, and these headers."""
    answer: dict[str, Any] = {"description": description}
    if headers:
        answer["headers"] = {name: ref("headers", name) for name in headers}
    answer["content"] = {"application/json": {"schema": schema}}
    return answer


def described_request(schema: Schema) -> dict[str, Any]:
    """A request with a JSON document, which must be there."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def path_parameter(name: str, api_object: ApiObject) -> dict[str, Any]:
    """The identifying key of an object, in a path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"{api_object.key} of the {api_object.api_name}, percent-encoded.",
        "schema": filter_schema(api_object.key_attribute),
    }
