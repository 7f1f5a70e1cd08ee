"""Every endpoint of upstream's models, made from what the server serves and from nothing listed here."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openapi_spec_validator import OpenAPIV31SpecValidator

from gluon.model.catalog import load_catalog
from gluon.model.model import AttributeType, Role
from gluon.particle.queries import filter_name
from gluon.particle.values import empty_is_null
from proton.serving import Api, serving
from servers.etcd import EtcdServer
from shared_models import upstream_models
from system.described_api import DescribedApi, Place, places
from system.specimens import body_of, changes_of, new

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVER_FIELDS = ["created_at", "updated_at", "revision_number"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each object of each service, or for each service."""
    names = [name for name in ("service", "object_name") if name in metafunc.fixturenames]
    if not names:
        return
    services = load_catalog(upstream_models(), bundled=False).services
    if "object_name" not in names:
        metafunc.parametrize("service", services)
        return
    cases = [(s, o) for s, versions in services.items() for o in versions[-1].objects]
    metafunc.parametrize(names, cases, ids=[f"{s}-{o}" for s, o in cases])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory, etcd_server: EtcdServer) -> AsyncIterator[Api]:
    """One server with upstream's models for all tests here; each makes the objects that it needs."""
    prefix = f"/upstream-{uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("server")
    async with serving(folder, etcd_server.url, prefix, models_dir=upstream_models()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def described(api: Api, service: str) -> DescribedApi:
    return await DescribedApi.of(api, service)


def key_attributes(parent: dict[str, Any] | None, place: Place) -> list[Any]:
    return [] if parent is None or place.parent is None else [parent[place.parent.key]]


async def bindings_answer_as_described(described: DescribedApi, path: str, port: str) -> None:
    """Of a port that is bound nowhere: how they answer otherwise is in tests/proton/test_bindings.py."""
    assert (await described.call("get", path, 200, port)).json() == {"bindings": []}
    await described.call("post", path, 409, port, json={"host": "h"})
    for method, body in (("get", None), ("put", {}), ("patch", {}), ("delete", None)):
        await described.call(method, f"{path}/{{host}}", 404, port, "h", json=body)
    await described.call("put", f"{path}/{{host}}/activate", 404, port, "h")


async def test_every_operation_answers_as_described(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    for place in places(described, found):
        parent = None if place.parent is None else await new(described, place.parent)
        above = key_attributes(parent, place)
        body = await body_of(described, found)
        if found.parent_key and parent is not None:
            body[found.parent_key] = above[0]

        created = await described.call("post", place.collection, 201, *above, json=body)
        stored = created.json()
        assert list(stored) == [*found.attributes, *SERVER_FIELDS]
        assert {name: stored[name] for name in body} == body
        key = stored[found.key]
        assert created.headers["etag"] == f'"{stored["revision_number"]}"'
        assert (await described.api.request("GET", created.headers["location"])).json() == stored

        assert (await described.call("get", place.item, 200, *above, key)).json() == stored
        assert stored in (await described.call("get", place.collection, 200, *above)).json()[found.plural]
        unchanged = {"If-None-Match": '"1"'}
        await described.call("get", place.item, 304, *above, key, headers=unchanged)
        assert (await described.call("get", place.status, 200, *above, key)).json() == {"status": []}

        for method, other in (("put", True), ("patch", False)):
            change = changes_of(found, await body_of(described, found, other=other))
            changed = (await described.call(method, place.item, 200, *above, key, json=change)).json()
            assert {name: changed[name] for name in change} == change
            assert changed["revision_number"] > stored["revision_number"]
            assert (await described.call("get", place.item, 200, *above, key)).json() == changed
            stored = changed

        if found.role is Role.PORT and place.parent is None:
            await bindings_answer_as_described(described, f"{place.item}/bindings", key)
        await described.call("delete", place.item, 204, *above, key, params={"cascade": "true"})
        await described.call("get", place.item, 404, *above, key)
    documented = described.operations(tag=found.plural)
    assert documented and documented <= described.called


async def test_the_document_is_valid_openapi(described: DescribedApi) -> None:
    assert list(OpenAPIV31SpecValidator(described.document).iter_errors()) == []


async def test_every_operation_belongs_to_an_object(described: DescribedApi) -> None:
    by_object = [described.operations(tag=o.plural) for o in described.model.objects.values()]
    assert set().union(*by_object) == described.operations()
    assert sum(map(len, by_object)) == len(described.operations())


async def test_the_documents_above_lead_to_every_collection(described: DescribedApi, service: str) -> None:
    api, model = described.api, described.model

    async def follow(document: dict[str, Any]) -> dict[str, Any]:
        return (await api.request("GET", document["links"][0]["href"], 200)).json()

    protons = (await follow((await api.get("/"))["default_version"]))["protons"]
    assert [p["status"] for p in protons if p["proton_service"] == service] == ["CURRENT"]
    versions = await follow(next(p for p in protons if p["proton_service"] == service))
    assert [v["version_id"] for v in versions["versions"]] == [model.version_id]
    resources = (await follow(versions["default_version"]))["resources"]
    assert [r["resource_name"] for r in resources] == [o.plural for o in model.objects.values()]
    for resource in resources:
        assert next(iter(await follow(resource))) == resource["resource_name"]


async def test_the_docs_name_every_path(described: DescribedApi, service: str) -> None:
    page = await described.api.request("GET", f"/proton/{service}/{described.model.version_id}/docs", 200)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert [o.plural for o in described.model.objects.values() if f"/{o.plural}" not in page.text] == []


async def test_several_are_created_at_once_or_none(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    for place in places(described, found):
        parent = None if place.parent is None else await new(described, place.parent, whole=False)
        above = key_attributes(parent, place)
        bodies = [await body_of(described, found, other=other) for other in (False, True)]
        for body in bodies:
            if found.parent_key and parent is not None:
                body[found.parent_key] = above[0]
        good = {found.plural: bodies}
        bad = {found.plural: [*bodies, {"no_such_attribute": 1}]}
        keys = [body[found.key] for body in bodies]

        refused = (await described.call("post", place.collection, 422, *above, json=bad)).json()
        assert f"{found.plural}[2].no_such_attribute" in [e["field"] for e in refused["errors"]]
        for key in keys:
            await described.call("get", place.item, 404, *above, key)
        created = (await described.call("post", place.collection, 201, *above, json=good)).json()
        assert [document[found.key] for document in created[found.plural]] == keys
        for document in created[found.plural]:
            shown = await described.call("get", place.item, 200, *above, document[found.key])
            assert shown.json() == document


async def test_a_list_is_filtered_by_every_attribute(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    place = Place(described, found)
    stored = [await new(described, found) for _ in range(2)]
    await new(described, found, whole=False)

    async def listed(name: str, *texts: str) -> list[dict[str, Any]]:
        params = [(filter_name(name), text) for text in texts]
        answer = await described.call("get", place.collection, 200, params=params)
        return answer.json()[found.plural]

    everything = (await described.call("get", place.collection, 200)).json()[found.plural]
    for name, attribute in found.attributes.items():
        values = [document[name] for document in stored]
        if empty_is_null(attribute) or attribute.value_type is not AttributeType.STRING:
            values.append(None)
        elif values[0] is None:
            continue  # an empty text is an empty text here, and nothing asks for null
        for wanted in (values[:1], values[-1:], values):
            same = [o for o in everything if o[name] in wanted]
            assert await listed(name, *map(as_text, wanted)) == same, (name, wanted)


def as_text(value: Any) -> str:
    """A value as it stands in a query."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


async def test_a_list_is_sorted_by_every_attribute(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    place = Place(described, found)
    for other in (False, True):
        body = await body_of(described, found, other=other)
        await described.call("post", place.collection, 201, json=body)
    await new(described, found, whole=False)
    everything = (await described.call("get", place.collection, 200)).json()[found.plural]

    def order(document: dict[str, Any], name: str) -> Any:
        value = document[name]
        return (value is not None, value.encode() if isinstance(value, str) else value or 0)

    limit = len(everything) // 2
    for name in (*found.attributes, *SERVER_FIELDS):
        for direction in ("asc", "desc"):
            in_pages: list[dict[str, Any]] = []
            params: dict[str, Any] = {"sort_key": name, "sort_dir": direction, "limit": limit}
            while True:
                answer = (await described.call("get", place.collection, 200, params=params)).json()
                in_pages += answer[found.plural]
                if f"{found.plural}_links" not in answer:
                    break
                params["marker"] = in_pages[-1][found.key]
            values = [order(document, name) for document in in_pages]
            assert values == sorted(values, reverse=direction == "desc"), name
            keys = [document[found.key] for document in in_pages]
            assert sorted(keys) == sorted(document[found.key] for document in everything), name


async def test_every_attribute_can_be_all_that_is_shown(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    place = Place(described, found)
    stored = await new(described, found)
    for name in (*found.attributes, *SERVER_FIELDS):
        one = await described.call("get", place.item, 200, stored[found.key], params={"fields": name})
        assert one.json() == {name: stored[name]}
        listed = await described.call("get", place.collection, 200, params={"fields": name})
        assert {name: stored[name]} in listed.json()[found.plural]
    names = f"{found.key},revision_number"
    two = await described.call("get", place.item, 200, stored[found.key], params={"fields": names})
    assert list(two.json()) == names.split(",")


async def test_refusals_are_as_described(described: DescribedApi, object_name: str) -> None:
    found = described.model.objects[object_name]
    for place in places(described, found):
        parent = None if place.parent is None else await new(described, place.parent, whole=False)
        above = key_attributes(parent, place)
        body = await body_of(described, found, whole=False)
        if found.parent_key and parent is not None:
            body[found.parent_key] = above[0]
        nobody = (await body_of(described, found, whole=False))[found.key]
        stored = (await described.call("post", place.collection, 201, *above, json=body)).json()
        key, stale = stored[found.key], {"If-Match": '"99"'}
        unknown: dict[str, Any] = {"no_such_attribute": 1}

        await described.call("post", place.collection, 409, *above, json=body)
        await described.call("post", place.collection, 422, *above, json=unknown)
        await described.call("post", place.collection, 400, *above, content=b"{")
        await described.call("get", place.collection, 400, *above, params=unknown)
        await described.call("get", place.item, 400, *above, key, params={"fields": "no_such_attribute"})
        await described.call("get", place.item, 412, *above, key, headers=stale)
        for method in ("put", "patch"):
            await described.call(method, place.item, 404, *above, nobody, json={})
            await described.call(method, place.item, 412, *above, key, json={}, headers=stale)
            await described.call(method, place.item, 422, *above, key, json=unknown)
            await described.call(method, place.item, 400, *above, key, content=b"[1")
        await described.call("delete", place.item, 404, *above, nobody)
        await described.call("delete", place.item, 412, *above, key, headers=stale)
        await described.call("get", place.item, 404, *above, nobody)
        await described.call("get", place.status, 404, *above, nobody)
        assert (await described.call("get", place.item, 200, *above, key)).json() == stored
