from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gluon.model.catalog import bundled_models_dir, load_catalog, version_order
from gluon.model.model import ApiObject
from model.written import PATH
from shared_models import upstream_models

SERVICES = ["ietf-sfc", "net-l3vpn", "test"]


def model_text(version: str = "1.0", name: str = "acme") -> str:
    info = f'info: {{name: {name}, version: "{version}"}}'
    return f'file_version: "1.0"\n{info}\nobjects: {{Thing: {{api: {{name: thing}}}}}}\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_bundled_services_are_sound() -> None:
    catalog = load_catalog(None)
    assert list(catalog.services) == SERVICES
    assert dict(catalog.problems) == {}


def test_upstreams_models_load_unchanged() -> None:
    catalog = load_catalog(upstream_models(), bundled=False)
    assert list(catalog.services) == SERVICES
    assert dict(catalog.problems) == {}


def without_descriptions(object_: ApiObject) -> ApiObject:
    attributes = {name: replace(a, description="") for name, a in object_.attributes.items()}
    return replace(object_, attributes=attributes)


@pytest.mark.parametrize("service", SERVICES)
def test_a_bundled_model_has_upstreams_objects_and_attributes_in_words_of_our_own(service: str) -> None:
    ours, theirs = load_catalog(None).newest(service), load_catalog(upstream_models()).newest(service)
    assert list(ours.objects) == list(theirs.objects)
    for name, object_ in theirs.objects.items():
        assert without_descriptions(ours.objects[name]) == without_descriptions(object_)
        for attribute in object_.attributes.values():
            description = ours.objects[name].attributes[attribute.name].description
            assert description
            assert description != attribute.description


def test_upstreams_keys_parents_and_references_are_what_its_api_had() -> None:
    objects = load_catalog(upstream_models(), bundled=False).newest("net-l3vpn").objects
    binding = objects["VpnBinding"]
    assert binding.key == "interface_id"
    assert binding.key_attribute.refers_to == ("Interface",)
    assert binding.key_attribute.required
    assert (objects["Interface"].parent, objects["Interface"].parent_key) == ("Port", "port_id")
    assert objects["VpnAfConfig"].key == "vrf_rt_value"
    chains = load_catalog(upstream_models(), bundled=False).newest("ietf-sfc").objects
    assert chains["SffSfBinding"].unique_together == ("id", "sff_dpl_name", "sf_dpl_name")
    assert chains["ServiceFunctionPath"].attributes["tenant_id"].required


def test_a_folder_without_info_is_no_service(models: Path) -> None:
    write(models / "base" / "base.yaml", "objects: {Base: {}}")
    write(models / "empty" / "readme.txt", "nothing")
    catalog = load_catalog(models, bundled=False)
    assert (dict(catalog.services), dict(catalog.problems)) == ({}, {})


def test_objects_with_an_api_but_no_info_are_warned_of(models: Path) -> None:
    write(models / PATH, "objects: {Thing: {api: {name: thing}}}")
    catalog = load_catalog(models, bundled=False)
    assert dict(catalog.services) == {}
    assert "has objects with an API but no info" in catalog.problems["acme"][0].message


def test_services_come_beside_the_bundled_ones(models: Path) -> None:
    write(models / PATH, model_text())
    catalog = load_catalog(models)
    assert sorted(catalog.services) == sorted(["acme", *SERVICES])


def test_a_service_takes_the_place_of_a_bundled_one_of_its_name(models: Path) -> None:
    write(models / "test" / "api.yaml", model_text("9.0", "test"))
    catalog = load_catalog(models)
    assert [model.version for model in catalog.services["test"]] == ["9.0"]


def test_a_broken_service_is_told_and_hides_no_other_but_the_bundled_one_of_its_name(models: Path) -> None:
    write(models / "test" / "api.yaml", "info: [")
    write(models / PATH, model_text())
    catalog = load_catalog(models)
    assert sorted(catalog.services) == ["acme", "ietf-sfc", "net-l3vpn"]
    assert list(catalog.problems) == ["test"]


def test_versions_stand_in_sub_folders_and_the_oldest_comes_first(models: Path) -> None:
    for folder, version in (("", "1.2"), ("later", "1.10"), ("first", "1.0-beta"), ("final", "1.0")):
        write(models / "acme" / folder / "api.yaml", model_text(version))
    write(models / "acme" / "shared" / "parts.yaml", "objects: {Base: {}}")
    catalog = load_catalog(models, bundled=False)
    assert [model.version for model in catalog.services["acme"]] == ["1.0-beta", "1.0", "1.2", "1.10"]
    assert {model.service for model in catalog.services["acme"]} == {"acme"}
    assert catalog.newest("acme").version == "1.10"
    assert dict(catalog.problems) == {}


def test_a_service_may_have_nothing_but_sub_folders(models: Path) -> None:
    write(models / "acme" / "v1" / "api.yaml", model_text())
    assert load_catalog(models, bundled=False).newest("acme").version == "1.0"


def test_one_version_in_two_folders_is_an_error(models: Path) -> None:
    write(models / "acme" / "api.yaml", model_text())
    write(models / "acme" / "again" / "api.yaml", model_text())
    catalog = load_catalog(models, bundled=False)
    assert len(catalog.services["acme"]) == 1
    assert "version 1.0 of acme stands in another folder already" in catalog.problems["acme"][0].message


def test_a_broken_version_hides_no_other(models: Path) -> None:
    write(models / "acme" / "api.yaml", model_text())
    write(models / "acme" / "v2" / "api.yaml", "file_version: 1.0\ninfo: {version: two}\n")
    catalog = load_catalog(models, bundled=False)
    assert [model.version for model in catalog.services["acme"]] == ["1.0"]
    assert catalog.problems["acme"]


def test_hidden_files_and_folders_are_not_read(models: Path) -> None:
    write(models / PATH, model_text())
    write(models / "acme" / ".api.yaml.swp.yaml", "[")
    write(models / ".git" / "x.yaml", "[")
    assert dict(load_catalog(models, bundled=False).problems) == {}


def test_imports_are_found_beside_the_folder_of_the_service_from_its_versions_too(models: Path) -> None:
    objects = "imports: common/c.yaml\nobjects: {Thing: {api: {name: thing}, extends: Common}}\n"
    write(models / "common" / "c.yaml", "objects: {Common: {attributes: {a: {type: uuid}}}}")
    write(
        models / "acme" / "v1" / "api.yaml", "file_version: 1.0\ninfo: {name: acme, version: 1}\n" + objects
    )
    assert "a" in load_catalog(models, bundled=False).newest("acme").objects["Thing"].attributes


def test_a_folder_that_can_be_no_service_is_told(models: Path) -> None:
    write(models / "my service" / "api.yaml", model_text(name="'my service'"))
    catalog = load_catalog(models, bundled=False)
    assert "'my service' can't be a service's name" in catalog.problems["my service"][0].message


def test_a_models_directory_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    catalog = load_catalog(tmp_path / "none")
    assert list(catalog.services) == SERVICES
    assert catalog.problems[""][0].message == "the folder can't be read: No such file or directory"


def test_a_file_that_can_not_be_read_is_a_problem(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(models / PATH, model_text())
    really_open = Path.open

    def refuse(self: Path, *arguments: Any, **further: Any) -> Any:
        # What a file's mode forbids to others, root may do all the same.
        if self == models / PATH:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return really_open(self, *arguments, **further)

    monkeypatch.setattr(Path, "open", refuse)
    message = load_catalog(models, bundled=False).problems["acme"][0].message
    assert "can't be read" in message and "Permission denied" in message


def test_versions_are_ordered_as_people_count_them() -> None:
    ordered = ["0.9", "1-alpha", "1", "1.0-rc1", "1.0-rc2", "1.0", "1.2", "1.10", "2", "10"]
    assert sorted(set(ordered), key=version_order) == ordered


def test_the_bundled_models_come_with_the_package() -> None:
    assert (bundled_models_dir() / "base" / "base.yaml").is_file()
