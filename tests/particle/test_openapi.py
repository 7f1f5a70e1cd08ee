from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gluon.model.compiler import model_from_document
from gluon.model.model import ApiObject, Model
from gluon.particle.json_schema import create_schema, object_schema, update_schema
from gluon.particle.openapi import openapi_document
from gluon.particle.validators import InvalidBody, ObjectValidator
from particle.made import DASHED, TENANT, a_port, a_thing, everything, formatted, upstream

SERVER = "http://127.0.0.1:2705"


def model_of(service: str) -> Model:
    return everything() if service == "everything" else upstream(service)


@cache
def document_of(service: str) -> dict[str, Any]:
    # By way of JSON, as clients see it.
    document: dict[str, Any] = json.loads(json.dumps(openapi_document(model_of(service), SERVER)))
    return document


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test", "everything"])
def test_the_document_is_valid_openapi(service: str) -> None:
    assert list(OpenAPIV31SpecValidator(document_of(service)).iter_errors()) == []


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test", "everything"])
def test_every_collection_item_and_child_is_there(service: str) -> None:
    paths = document_of(service)["paths"]
    for api_object in model_of(service).objects.values():
        assert set(paths[f"/{api_object.plural}"]) == {"get", "post"}
        item = f"/{api_object.plural}/{{{api_object.key}}}"
        assert set(paths[item]) == {"parameters", "get", "put", "patch", "delete"}
        assert "get" in paths[f"{item}/status"]
        if api_object.parent is not None:
            parent = model_of(service).objects[api_object.parent]
            assert f"/{parent.plural}/{{{parent.api_name}_{parent.key}}}{item}" in paths


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for path in document_of("everything")["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len(names) == len(set(names))
    assert {"thing-create", "thing.part-list"} <= set(names)


def test_a_list_is_filtered_by_every_attribute() -> None:
    parameters = document_of("everything")["paths"]["/things"]["get"]["parameters"]
    filters = [p["name"] for p in parameters if "name" in p]
    shared = [p["$ref"].rpartition("/")[2] for p in parameters if "$ref" in p]
    paging = ["limit", "marker", "sort_key", "sort_dir", "fields"]
    assert shared == [*paging, "watch", "start_revision", "Last-Event-ID"]
    assert {"count", "attr:limit", "attr:fields"} <= set(filters)
    assert not {"limit", "fields"} & set(filters)


def test_the_model_comes_with_the_document() -> None:
    model = upstream("net-l3vpn")
    assert model_from_document(document_of("net-l3vpn")["x-gluon-model"]) == model


def test_the_document_is_the_same_every_time_and_quickly_made() -> None:
    model = upstream("net-l3vpn")
    taken = []
    for _ in range(5):
        start = time.process_time()
        document = openapi_document(model, SERVER)
        taken.append(time.process_time() - start)
        assert json.dumps(document) == json.dumps(openapi_document(model, SERVER))
    assert min(taken) < 0.02


def test_servers_and_errors_are_told() -> None:
    document = document_of("net-l3vpn")
    assert document["servers"] == [{"url": f"{SERVER}/proton/net-l3vpn/v1.0"}]
    put = document["paths"]["/ports/{id}"]["put"]
    assert set(put["responses"]) == {"200", "400", "401", "403", "404", "409", "412", "413", "422", "503"}
    post = document["paths"]["/ports"]["post"]["responses"]["201"]
    assert set(post["headers"]) == {"Location", "ETag"}


@pytest.mark.parametrize(
    ("service", "name", "body"), [("everything", "Thing", a_thing()), ("net-l3vpn", "Port", a_port())]
)
def test_a_stored_object_fits_its_schema(service: str, name: str, body: dict[str, Any]) -> None:
    api_object = model_of(service).objects[name]
    stored = ObjectValidator(api_object).create(body | {"id": DASHED})
    stored |= {"created_at": "2026-11-22T04:15:36Z", "updated_at": None, "revision_number": 1}
    Draft202012Validator(object_schema(api_object)).validate(stored)


def fits(schema: dict[str, Any], body: Any) -> bool:
    return bool(Draft202012Validator(schema).is_valid(body))


def taken(call: Any, *args: Any, **kwargs: Any) -> bool:
    try:
        call(*args, **kwargs)
    except InvalidBody:
        return False
    return True


# What JSON Schema cannot say is left out: integers spelt 1.0, inexact floats, NUL, surrogates, formats.
values = st.one_of(
    st.sampled_from(
        [None, True, False, "", ".", "..", "red", "dark", "purple", "ACTIVE", "none", "vlan", {}, []]
    ),
    st.sampled_from([TENANT, DASHED, DASHED.upper(), DASHED[:-1], TENANT + "0", f"{{{DASHED}}}"]),
    st.integers(-(2**66), 2**66).filter(lambda n: abs(n) <= 2**53 or float(n) == n),
    st.integers(-2, 35),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer()),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
    st.integers(0, 300).map("x".__mul__),
)


no_text = st.sampled_from([None, "", 5, True, {}, []])


def bodies(api_object: ApiObject, complete: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    with_format = formatted(api_object)
    plain = [name for name in (*api_object.attributes, "unknown") if name not in with_format]
    changes = st.dictionaries(st.sampled_from(plain), values, max_size=4)
    formats = (
        st.dictionaries(st.sampled_from(with_format), no_text, max_size=1) if with_format else st.just({})
    )
    left_out = st.sets(st.sampled_from(list(complete)), max_size=1)
    return st.builds(
        lambda changed, blank, missing: (
            {n: v for n, v in complete.items() if n not in missing} | changed | blank
        ),
        changes,
        formats,
        left_out,
    )


CASES = {
    "Thing": a_thing(),
    "Named": {"title": "x"},
    "Numbered": {"number": 1},
    "Part": {"slot": 1, "thing_id": DASHED},
}


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(CASES)))
def test_schemas_and_validators_agree(data: st.DataObject, name: str) -> None:
    api_object = everything().objects[name]
    validator = ObjectValidator(api_object)
    body = data.draw(bodies(api_object, CASES[name]))
    assert fits(create_schema(api_object), body) == taken(validator.create, body)
    assert fits(update_schema(api_object), body) == taken(validator.update, body)
    if api_object.parent is not None:
        body = {k: v for k, v in body.items() if k != api_object.parent_key or v in (None, DASHED)}
        schema = create_schema(api_object, under_parent=True)
        assert fits(schema, body) == taken(validator.create, body, parent_key=DASHED)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_schemas_and_validators_agree_on_ports(data: st.DataObject) -> None:
    api_object = upstream("net-l3vpn").objects["Port"]
    validator = ObjectValidator(api_object)
    body = data.draw(bodies(api_object, a_port()))
    assert fits(create_schema(api_object), body) == taken(validator.create, body)
    assert fits(update_schema(api_object), body) == taken(validator.update, body)
