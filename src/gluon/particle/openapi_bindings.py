"""The part of an OpenAPI document that describes the bindings of ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gluon.model.model import ApiObject
from gluon.particle.json_schema import Schema
from gluon.particle.openapi_parts import (
    CREATE_ERRORS,
    READ_ERRORS,
    UPDATE_ERRORS,
    Operation,
    described_answer,
    described_request,
    path_parameter,
    ref,
)

_HOST = {"type": "string", "minLength": 1, "maxLength": 255}
_TEXT = {"type": ["string", "null"]}

BINDING_SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "gluon.Binding": {
            "type": "object",
            "description": "A host on which a port is bound, or being made ready.",
            "properties": {
                "host": _HOST,
                "status": {"type": "string", "enum": ["ACTIVE", "INACTIVE"]},
                "vnic_type": _TEXT,
                "profile": _TEXT,
                "vif_type": {**_TEXT, "description": "`binding_failed` while no controller has bound it."},
                "vif_details": {**_TEXT, "description": "JSON text."},
            },
            "required": ["host", "status", "vnic_type", "profile", "vif_type", "vif_details"],
        },
        "gluon.Binding.Create": {
            "type": "object",
            "properties": {"host": _HOST, "vnic_type": _TEXT, "profile": _TEXT},
            "required": ["host"],
            "additionalProperties": False,
        },
        "gluon.Binding.Update": {
            "type": "object",
            "properties": {"host": _HOST, "vnic_type": _TEXT, "profile": _TEXT},
            "additionalProperties": False,
        },
    }
)


def binding_paths(port: ApiObject) -> dict[str, Any]:
    """The paths below a port."""
    collection = f"/{port.plural}/{{{port.key}}}/bindings"
    name = "host" if port.key != "host" else "binding_host"
    of_port = path_parameter(port.key, port)
    host = {
        "name": name,
        "in": "path",
        "required": True,
        "description": "Host of the binding, percent-encoded.",
        "schema": {"type": "string"},
    }
    binding = ref("schemas", "gluon.Binding")
    listed = {
        "type": "object",
        "properties": {"bindings": {"type": "array", "items": binding}},
        "required": ["bindings"],
    }
    unchanged = {"description": "The caller has this revision.", "headers": {"ETag": ref("headers", "ETag")}}
    seen = _parameters("If-Match", "If-None-Match")
    written = _parameters("dry_run", "If-Match")

    def operation(
        action: str, summary: str, answers: dict[str, Any], errors: Iterable[str], **further: Any
    ) -> Operation:
        responses = {**answers, **{status: ref("responses", status) for status in errors}}
        return {
            "operationId": f"{port.api_name}.bindings-{action}",
            "summary": summary,
            "tags": [port.plural],
            **further,
            "responses": dict(sorted(responses.items())),
        }

    def change(action: str) -> Operation:
        return operation(
            action,
            "Change the profile of a binding; try a bind that has failed once more",
            {"200": described_answer("The binding as it is now.", binding, "ETag")},
            UPDATE_ERRORS,
            parameters=written,
            requestBody=described_request(ref("schemas", "gluon.Binding.Update")),
        )

    return {
        collection: {
            "parameters": [of_port],
            "get": operation(
                "list",
                f"List the bindings of a {port.api_name}, the active one first",
                {"200": described_answer("All of them.", listed, "ETag"), "304": unchanged},
                (*READ_ERRORS, "412"),
                parameters=seen,
            ),
            "post": operation(
                "create",
                f"Make a {port.api_name} ready on another host, for live migration",
                {"201": described_answer("The binding, bound or not.", binding, "Location", "ETag")},
                (*CREATE_ERRORS, "412"),
                parameters=written,
                requestBody=described_request(ref("schemas", "gluon.Binding.Create")),
            ),
        },
        f"{collection}/{{{name}}}": {
            "parameters": [of_port, host],
            "get": operation(
                "show",
                "Show one binding",
                {"200": described_answer("The binding.", binding, "ETag"), "304": unchanged},
                (*READ_ERRORS, "412"),
                parameters=seen,
            ),
            "put": change("replace"),
            "patch": change("update"),
            "delete": operation(
                "delete",
                "Unbind one host",
                {"204": {"description": "Deleted."}},
                ("400", "401", "403", "404", "412", "503"),
                parameters=written,
            ),
        },
        f"{collection}/{{{name}}}/activate": {
            "parameters": [of_port, host],
            "put": operation(
                "activate",
                "Make a binding the active one, and the active one inactive",
                {"200": described_answer("The binding, active now.", binding, "ETag")},
                ("400", "401", "403", "404", "409", "412", "503"),
                parameters=written,
            ),
        },
    }


def _parameters(*names: str) -> list[dict[str, str]]:
    return [ref("parameters", name) for name in names]
