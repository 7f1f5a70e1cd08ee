"""The documents that tell what there is: the root, the services, their versions, and what they offer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from falcon.asgi import Request, Response

from gluon.etcd.keys import segment
from gluon.particle.docs_page import docs_page
from gluon.particle.openapi import openapi_document
from gluon.proton.errors import NotFound
from gluon.proton.registry import Proton
from gluon.proton.web.places import CurrentRegistry, find_proton
from gluon.proton.web.requests import QueryString, decoded

API_VERSION = "v1.0"
"""Version of the API's own form, as upstream has it."""

_encode = msgspec.json.Encoder().encode


def _links(base: str, path: str) -> list[dict[str, str]]:
    return [{"href": base + path, "rel": "self"}]


def _answer(req: Request, resp: Response, document: Any) -> None:
    QueryString.of(req).allow()
    resp.content_type = "application/json"
    resp.data = _encode(document)


class Root:
    """`GET /`: the name of the API."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """The root document."""
        version = {
            "id": API_VERSION,
            "status": "CURRENT",
            "links": _links(req.context.base_url, "/proton"),
        }
        _answer(
            req,
            resp,
            {
                "name": "Gluon API",
                "description": "Networking services made from models, and the ports that bind to them.",
                "default_version": version,
                "versions": [version],
            },
        )


class Services:
    """`GET /proton`: the services that this server hosts."""

    def __init__(self, registry: CurrentRegistry) -> None:
        self._registry = registry

    async def on_get(self, req: Request, resp: Response) -> None:
        """Every service with a link to its versions."""
        protons = []
        for service, versions in self._registry().protons.items():
            newest = list(versions.values())[-1]
            protons.append(
                {
                    "proton_service": service,
                    "status": newest.status,
                    "links": _links(req.context.base_url, f"/proton/{segment(service)}"),
                }
            )
        _answer(req, resp, {"protons": protons})


class Versions:
    """`GET /proton/<service>`: the versions of a service."""

    def __init__(self, registry: CurrentRegistry) -> None:
        self._registry = registry

    async def on_get(self, req: Request, resp: Response, service: str) -> None:
        """Every version, the default one apart."""
        versions = self._registry().protons.get(decoded(service))
        if not versions:
            raise NotFound(f"there is no service {decoded(service)}")
        documents = [version_document(req.context.base_url, p) for p in versions.values()]
        _answer(req, resp, {"default_version": documents[-1], "versions": documents})


class Version:
    """`GET /proton/<service>/<version>`: the collections of a version."""

    def __init__(self, registry: CurrentRegistry) -> None:
        self._registry = registry

    async def on_get(self, req: Request, resp: Response, service: str, version: str) -> None:
        """Every collection with a link to it."""
        proton = find_proton(self._registry(), service, version)
        base = req.context.base_url
        resources = [
            version_document(base, proton)
            | {"resource_name": hosted.api.plural, "links": _links(base, hosted.base_path)}
            for hosted in proton.objects.values()
        ]
        _answer(req, resp, {"resources": resources})


class OpenApi:
    """`GET .../openapi.json`: the version described for machines."""

    def __init__(self, registry: CurrentRegistry) -> None:
        self._registry = registry
        self._rendered = lru_cache(maxsize=64)(_render_openapi)

    async def on_get(self, req: Request, resp: Response, service: str, version: str) -> None:
        """The OpenAPI 3.1 document."""
        QueryString.of(req).allow()
        proton = find_proton(self._registry(), service, version)
        resp.content_type = "application/json"
        resp.data = self._rendered(_ByDigest(proton), req.context.base_url)


class Docs:
    """`GET .../docs`: the version described for people, as a page that needs nothing from elsewhere."""

    def __init__(self, registry: CurrentRegistry) -> None:
        self._registry = registry
        self._rendered = lru_cache(maxsize=64)(_render_docs)

    async def on_get(self, req: Request, resp: Response, service: str, version: str) -> None:
        """The page."""
        QueryString.of(req).allow()
        proton = find_proton(self._registry(), service, version)
        resp.content_type = "text/html; charset=utf-8"
        resp.data = self._rendered(_ByDigest(proton), req.context.base_url)


def version_document(base_url: str, proton: Proton) -> dict[str, Any]:
    """How a version of a service stands in the documents."""
    service, version_id = proton.model.service, proton.model.version_id
    return {
        "proton_service": service,
        "version_id": version_id,
        "status": proton.status,
        "links": _links(base_url, f"/proton/{segment(service)}/{version_id}"),
    }


class _ByDigest:
    """A Proton as a cache's key: two of them are one if their models have the same content."""

    __slots__ = ("_identity", "model")

    def __init__(self, proton: Proton) -> None:
        self.model = proton.model
        self._identity = (proton.model.service, proton.model.version, proton.model.digest)

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByDigest) and self._identity == other._identity


def _render_openapi(proton: _ByDigest, base_url: str) -> bytes:
    return _encode(openapi_document(proton.model, base_url))


def _render_docs(proton: _ByDigest, base_url: str) -> bytes:
    return docs_page(proton.model, base_url).encode()
