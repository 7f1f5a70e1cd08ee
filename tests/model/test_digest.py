"""The digest is a contract between releases: a golden test that fails here means that shims, servers and
databases of two releases would take one model for two."""

from __future__ import annotations

import json

import pytest

from gluon.model.catalog import load_catalog
from gluon.model.compiler import model_from_document
from gluon.model.model import Model
from gluon.model.resolution import canonical_json, digest
from model.written import HEAD, compile_text, model_of
from shared_models import upstream_models

FILE = """
file_version: 1.0
info:
  version: 1.10
  name: acme
  author: {email: a@example.org, name: \u00c4nne}
objects:
  Base:
    policies: {get: {role: '@'}}
    attributes:
      id: {primary: true, type: uuid}
      site: {type: string, format: url, required: yes}
  Thing:
    extends: Base
    attributes:
      site: {length: 300, description: Where}
      number: {max: 9, min: 0.5, type: number}
      kind: {values: [b, a], type: enum}
    api: {name: thing}
"""
CANONICAL = (
    '{"file_version":"1.0","service":"acme",'
    '"info":{"name":"acme","version":"1.10","description":"",'
    '"author":{"name":"\u00c4nne","email":"a@example.org"}},'
    '"objects":{"Base":{"attributes":{'
    '"id":{"type":"uuid","primary":true,"description":"","required":false},'
    '"site":{"type":"string","primary":false,"description":"","required":true,"length":255,"format":"uri"}},'
    '"policies":{"get":"@"}},'
    '"Thing":{"api":{"name":"thing","plural_name":"things"},"extends":"Base","attributes":{'
    '"site":{"description":"Where","length":300},'
    '"number":{"type":"number","primary":false,"description":"","required":false,"min":0.5,"max":9},'
    '"kind":{"type":"enum","primary":false,"description":"","required":false,"values":["b","a"]}},'
    '"policies":{"create":"rule:default","delete":"rule:default","list":"rule:default","update":"rule:default"}}}}'
)
DIGEST = "58f760a83c8e5d4b9200158955b06e67c14fe50b7889b9109311f6c41da29ade"
UPSTREAM = {
    "ietf-sfc": "108d908498bbbc4138bd8d12e2aec91b9ea3faa2300142cded840629a0b53a4c",
    "net-l3vpn": "91cb6554d07cdff6458ded24ce9323ba0089f58e40a2faf113ec3315a8cceeda",
    "test": "395722eedf06f0626380eaac27715bd19e457e5787a5717348548f3e55d9baf3",
}


@pytest.fixture
def model() -> Model:
    return model_of(compile_text(FILE))


def test_the_canonical_json_spells_out_defaults_in_a_fixed_order(model: Model) -> None:
    assert canonical_json(model.document).decode() == CANONICAL


def test_the_digest_is_that_of_every_release(model: Model) -> None:
    assert model.digest == DIGEST


@pytest.mark.parametrize("service", sorted(UPSTREAM))
def test_the_digests_of_upstreams_models_are_those_of_every_release(service: str) -> None:
    catalog = load_catalog(upstream_models(), bundled=False)
    assert catalog.newest(service).digest == UPSTREAM[service]


def test_how_the_file_is_laid_out_does_not_matter(model: Model) -> None:
    laid_out = json.dumps(json.loads(CANONICAL)["objects"])
    info = "info: {name: acme, version: '1.10', author: {name: \u00c4nne, email: a@example.org}}\n"
    other = model_of(compile_text(f"objects: {laid_out}\n{info}file_version: '1.0' # the same, as JSON\n"))
    assert other.digest == model.digest
    assert other == model


@pytest.mark.parametrize(
    "changed",
    [
        FILE.replace("1.10", "1.1"),
        FILE.replace("[b, a]", "[a, b]"),
        FILE.replace("Where", "where"),
        FILE.replace("required: yes", "required: no"),
        FILE.replace("max: 9", "max: 10"),
    ],
)
def test_what_the_model_says_does_matter(changed: str, model: Model) -> None:
    assert changed != FILE
    assert model_of(compile_text(changed)).digest != model.digest


def test_two_spellings_of_a_bound_are_one(model: Model) -> None:
    assert model_of(compile_text(FILE.replace("max: 9", "max: 9.0"))).digest == model.digest


def test_the_order_of_keywords_in_a_stored_document_does_not_matter(model: Model) -> None:
    stored = json.loads(json.dumps(model.document))
    attributes = stored["objects"]["Thing"]["attributes"]
    attributes["number"] = dict(reversed(attributes["number"].items()))
    assert digest(stored) == model.digest


@pytest.mark.parametrize("folder", ["bundled", "upstream"])
def test_a_published_document_gives_the_same_model(folder: str) -> None:
    catalog = load_catalog(None) if folder == "bundled" else load_catalog(upstream_models(), bundled=False)
    for versions in catalog.services.values():
        for model in versions:
            published = json.loads(json.dumps(model.document))
            assert model_from_document(published) == model


def test_a_model_without_objects_of_its_own_has_a_digest_too() -> None:
    assert len(model_of(compile_text(HEAD + "objects: {A: {api: {name: a}}}")).digest) == 64
