"""The OpenAPI 3.1 document of a service version: its whole API, for machines, with the model itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gluon.etcd.keys import segment
from gluon.model.model import ApiObject, Model, Role
from gluon.particle.json_schema import (
    Schema,
    create_schema,
    filter_schema,
    object_schema,
    update_schema,
)
from gluon.particle.openapi_bindings import BINDING_SCHEMAS, binding_paths
from gluon.particle.openapi_parts import (
    CREATE_ERRORS,
    DELETE_ERRORS,
    HEADERS,
    PARAMETERS,
    READ_ERRORS,
    RESPONSES,
    SHARED_SCHEMAS,
    UPDATE_ERRORS,
    Operation,
    described_answer,
    described_request,
    path_parameter,
    ref,
)
from gluon.particle.queries import filter_name
from gluon.particle.spelling import with_article


def openapi_document(model: Model, base_url: str) -> dict[str, Any]:
    """The document of one version; `base_url` is the URL of the server's root, without a `/` at its end.

    `x-gluon-model` holds the model in the terms of its language, so that a client can make its commands
    from what the server serves.
    """
    schemas: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    for api_object in model.objects.values():
        name = api_object.name
        schemas[name] = object_schema(api_object)
        schemas[f"{name}.Create"] = create_schema(api_object)
        schemas[f"{name}.Update"] = update_schema(api_object)
        own = _Place(api_object)
        paths |= own.paths()
        if api_object.role is Role.PORT:
            schemas |= BINDING_SCHEMAS
            paths |= binding_paths(api_object)
        if api_object.parent is not None:
            schemas[f"{name}.CreateUnderParent"] = create_schema(api_object, under_parent=True)
            paths |= _Place(api_object, model.objects[api_object.parent]).paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": model.service,
            "version": model.version,
            "description": model.description,
        },
        "servers": [{"url": f"{base_url}/proton/{segment(model.service)}/{segment(model.version_id)}"}],
        "tags": [
            {"name": o.plural, **({"description": o.description} if o.description else {})}
            for o in model.objects.values()
        ],
        "paths": paths,
        "components": {
            "schemas": {**schemas, **SHARED_SCHEMAS},
            "parameters": dict(PARAMETERS),
            "headers": dict(HEADERS),
            "responses": dict(RESPONSES),
        },
        "x-gluon-model": model.document,
    }


class _Place:
    """The paths of one kind of object: at the top, or below the parent that the path names."""

    def __init__(self, api_object: ApiObject, parent: ApiObject | None = None) -> None:
        self._object = api_object
        self._plural = api_object.plural
        self._a_noun = with_article(api_object.api_name)
        self._key = api_object.key
        self._path_parameters: list[dict[str, Any]] = []
        self._prefix = ""
        self._create = f"{api_object.name}.Create"
        # Names of objects hold no dot and api names neither, so nothing here can clash with a model's names.
        self._operation = api_object.api_name
        if parent is not None:
            above = f"{parent.api_name}_{parent.key}"
            if self._key == above:
                self._key = f"{api_object.api_name}_{api_object.key}"
            self._path_parameters = [path_parameter(above, parent)]
            self._prefix = f"/{parent.plural}/{{{above}}}"
            self._create = f"{api_object.name}.CreateUnderParent"
            self._operation = f"{parent.api_name}.{api_object.api_name}"

    def paths(self) -> dict[str, Any]:
        """Collection, item and status."""
        collection = f"{self._prefix}/{self._plural}"
        item = f"{collection}/{{{self._key}}}"
        item_parameters = [*self._path_parameters, path_parameter(self._key, self._object)]
        above = {"parameters": self._path_parameters} if self._path_parameters else {}
        return {
            collection: {**above, "get": self._list(), "post": self._post()},
            item: {
                "parameters": item_parameters,
                "get": self._get(),
                "put": self._change("replace", "put"),
                "patch": self._change("update", "patch"),
                "delete": self._delete(),
            },
            f"{item}/status": {"parameters": item_parameters, "get": self._status()},
        }

    def _list(self) -> Operation:
        filters = [
            {
                "name": filter_name(attribute.name),
                "in": "query",
                "description": f"Only objects with this {attribute.name}; repeated: with any of them.",
                "schema": {"type": "array", "items": filter_schema(attribute)},
                "style": "form",
                "explode": True,
                "allowEmptyValue": True,
            }
            for attribute in self._object.attributes.values()
        ]
        paging = [
            ref("parameters", name)
            for name in ("limit", "marker", "sort_key", "sort_dir", "fields", "watch", "start_revision")
        ]
        page = {
            "type": "object",
            "properties": {
                self._plural: {"type": "array", "items": ref("schemas", self._object.name)},
                f"{self._plural}_links": {"type": "array", "items": ref("schemas", "gluon.Link")},
            },
            "required": [self._plural],
        }
        answer = described_answer("A page of the collection; `next` leads to the following one.", page)
        answer["content"]["text/event-stream"] = {"schema": ref("schemas", "gluon.EventStream")}
        return self._operation_of(
            "list",
            f"List {self._plural}, or watch them",
            {"200": answer},
            READ_ERRORS,
            parameters=[*paging, *filters, ref("parameters", "Last-Event-ID")],
        )

    def _post(self) -> Operation:
        one, many = ref("schemas", self._create), self._bulk(self._create)
        created = {"anyOf": [ref("schemas", self._object.name), self._bulk(self._object.name)]}
        answer = described_answer("Created: the object, or all of them.", created, "Location", "ETag")
        return self._operation_of(
            "create",
            f"Create {self._a_noun}, or several: all or nothing",
            {"201": answer},
            CREATE_ERRORS,
            parameters=[ref("parameters", "dry_run")],
            requestBody=described_request({"anyOf": [one, many]}),
        )

    def _get(self) -> Operation:
        answers = {
            "200": described_answer("The object.", ref("schemas", self._object.name), "ETag"),
            "304": {
                "description": "The caller has this revision.",
                "headers": {"ETag": ref("headers", "ETag")},
            },
        }
        parameters = [ref("parameters", name) for name in ("fields", "If-Match", "If-None-Match")]
        return self._operation_of(
            "show",
            f"Show one {self._object.api_name}",
            answers,
            (*READ_ERRORS, "412"),
            parameters=parameters,
        )

    def _change(self, action: str, method: str) -> Operation:
        return self._operation_of(
            action,
            f"Change what is given of {self._a_noun} and nothing else; PUT and PATCH are the same",
            {"200": described_answer("The object as it is now.", ref("schemas", self._object.name), "ETag")},
            UPDATE_ERRORS,
            parameters=[ref("parameters", name) for name in ("dry_run", "If-Match")],
            requestBody=described_request(ref("schemas", f"{self._object.name}.Update")),
        )

    def _delete(self) -> Operation:
        return self._operation_of(
            "delete",
            f"Delete {self._a_noun}",
            {"204": {"description": "Deleted."}},
            DELETE_ERRORS,
            parameters=[ref("parameters", name) for name in ("cascade", "dry_run", "If-Match")],
        )

    def _status(self) -> Operation:
        return self._operation_of(
            "status",
            f"What each controller made of {self._a_noun}",
            {"200": described_answer("One entry for each controller.", ref("schemas", "gluon.Status"))},
            READ_ERRORS,
        )

    def _bulk(self, schema: str) -> Schema:
        return {
            "type": "object",
            "properties": {self._plural: {"type": "array", "items": ref("schemas", schema)}},
            "required": [self._plural],
            "additionalProperties": False,
        }

    def _operation_of(
        self, action: str, summary: str, answers: dict[str, Any], errors: Iterable[str], **further: Any
    ) -> Operation:
        responses = {**answers, **{status: ref("responses", status) for status in errors}}
        return {
            "operationId": f"{self._operation}-{action}",
            "summary": summary,
            "tags": [self._plural],
            **further,
            "responses": dict(sorted(responses.items())),
        }
