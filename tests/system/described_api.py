"""A service's API as its OpenAPI document describes it: a caller that holds every answer against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from gluon.etcd.keys import segment
from gluon.model.compiler import model_from_document
from gluon.model.model import ApiObject, Model
from gluon.particle.texts import text_of_key
from proton.serving import Api

_URI = "urn:openapi"
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")

Operation = tuple[str, str]
"""A method in small letters, and a path with its parameters in braces."""


class DescribedApi:
    """Calls the operations of one service, checks each answer, and remembers what was called."""

    def __init__(self, api: Api, document: dict[str, Any]) -> None:
        self.api = api
        self.document = document
        self.model: Model = model_from_document(document["x-gluon-model"])
        self.called: set[Operation] = set()
        self._root = document["servers"][0]["url"]
        resource = Resource(contents=document, specification=DRAFT202012)
        self._schemas: Registry[Any] = Registry().with_resource(_URI, resource)
        self._validators: dict[str, Draft202012Validator] = {}

    @classmethod
    async def of(cls, api: Api, service: str) -> DescribedApi:
        """The newest version of a service that the server hosts."""
        version = (await api.get(f"/proton/{service}"))["default_version"]["version_id"]
        document = await api.get(f"/proton/{service}/{version}/openapi.json")
        return cls(api, document)

    def operations(self, tag: str | None = None) -> set[Operation]:
        """All that the document describes, or what it files under one collection."""
        return {
            (method, path)
            for path, item in self.document["paths"].items()
            for method in _METHODS
            if method in item and (tag is None or tag in item[method]["tags"])
        }

    async def call(
        self, method: str, path: str, expect: int, *keys: Any, json: Any = None, **further: Any
    ) -> httpx.Response:
        """Call an operation with the keys for the parameters in its path; the answer must be as described.

        A body of `json` must be as described too, unless the answer says that it is wrong.
        """
        operation = self.document["paths"][path][method]
        self.called.add((method, path))
        if json is not None:
            further["json"] = json
            if expect < 400:
                self._check(json, "paths", path, method, "requestBody", "content", "application/json")
        answer = await self.api.request(method.upper(), self._url(path, keys), **further)
        what = f"{method.upper()} {path} {keys}: {answer.status_code} {answer.text[:2000]}"
        assert answer.status_code == expect, what
        assert str(expect) in operation["responses"], f"not described: {what}"
        self._check_answer(answer, ("paths", path, method, "responses", str(expect)), further)
        return answer

    def _url(self, path: str, keys: tuple[Any, ...]) -> str:
        left = iter(keys)
        filled = re.sub(r"\{[^}]+\}", lambda _: segment(text_of_key(next(left))), path)
        assert next(left, None) is None, f"{path} has fewer parameters than {keys}"
        return f"{self._root}{filled}"

    def _check_answer(self, answer: httpx.Response, where: tuple[str, ...], request: dict[str, Any]) -> None:
        described = self._at(where)
        if "$ref" in described:
            where = tuple(described["$ref"].removeprefix("#/").split("/"))
            described = self._at(where)
        content = described.get("content")
        if content is None:
            assert answer.content == b""
            return
        media_type = answer.headers["content-type"]
        assert media_type in content, f"{media_type} is not among {list(content)}"
        # `fields` leaves out what the schema requires, as the parameter's description says.
        if "fields" not in request.get("params", {}):
            self._check(answer.json(), *where, "content", media_type)

    def _at(self, where: tuple[str, ...]) -> Any:
        found: Any = self.document
        for name in where:
            found = found[name]
        return found

    def _check(self, value: Any, *where: str) -> None:
        pointer = "/".join(name.replace("~", "~0").replace("/", "~1") for name in (*where, "schema"))
        validator = self._validators.get(pointer)
        if validator is None:
            validator = self._validators[pointer] = Draft202012Validator(
                {"$ref": f"{_URI}#/{pointer}"},
                registry=self._schemas,
                format_checker=Draft202012Validator.FORMAT_CHECKER,
            )
        validator.validate(value)


class Place:
    """The paths of a kind of object: at the top of the service, or below a parent."""

    def __init__(self, described: DescribedApi, found: ApiObject, parent: ApiObject | None = None) -> None:
        self.parent = parent
        self.object = found
        above = r"" if parent is None else rf"/{parent.plural}/\{{[^/]+\}}"
        self.collection = _only(described, rf"{above}/{found.plural}")
        self.item = _only(described, rf"{above}/{found.plural}/\{{[^/]+\}}")
        self.status = f"{self.item}/status"


def places(described: DescribedApi, found: ApiObject) -> Iterator[Place]:
    """Every place where the objects of a kind stand in the service's URLs."""
    yield Place(described, found)
    if found.parent is not None:
        yield Place(described, found, described.model.objects[found.parent])


def _only(described: DescribedApi, pattern: str) -> str:
    matching = [path for path in described.document["paths"] if re.fullmatch(pattern, path)]
    assert len(matching) == 1, f"{pattern} is described {len(matching)} times"
    return matching[0]
