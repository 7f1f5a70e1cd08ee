from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from gluon.model.catalog import bundled_models_dir, library_of
from gluon.model.compiler import compile_files, model_from_document
from gluon.model.problems import MOST_PROBLEMS, ModelError
from model.written import HEAD, compile_objects, compile_text, errors, model_of, only_error, warnings

THING = "objects: {Thing: {api: {name: thing}}}\n"


def test_a_model_knows_its_service_version_and_description() -> None:
    model = model_of(
        compile_text("""
            file_version: "1.0"
            info: {name: acme, version: "2.1", description: Anvils}
            objects: {Thing: {api: {name: thing}}}
            """)
    )
    assert (model.service, model.version, model.version_id) == ("acme", "2.1", "v2.1")
    assert model.description == "Anvils"


@pytest.mark.parametrize(
    ("written", "version"), [("1.0", "1.0"), ("1.10", "1.10"), ("2", "2"), ("'3.1'", "3.1")]
)
def test_a_version_is_read_as_it_is_written(written: str, version: str) -> None:
    text = f'file_version: "1.0"\ninfo: {{name: acme, version: {written}}}\n{THING}'
    assert model_of(compile_text(text)).version == version


def test_file_version_may_be_a_plain_number() -> None:
    assert model_of(compile_text("file_version: 1.0\ninfo: {name: acme, version: 1.0}\n" + THING))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "info is missing: what the service is called, and in which version"),
        ('file_version: "1.0"\n' + THING, "api.yaml:1:1: info is missing"),
        ("info: {version: 1.0}\n" + THING, 'file_version is missing: write file_version: "1.0"'),
        (
            "file_version: 1\ninfo: {version: 1.0}\n" + THING,
            "file_version must be \"1.0\", not a number ('1')",
        ),
        (
            'file_version: "1.1"\nfoo: 1\n',
            "file_version 1.1 is for a later release of Gluon; this one reads 1.0",
        ),
        ("file_version: 1.0\ninfo:\n" + THING, "version is missing: the version of the service"),
        (
            "file_version: 1.0\ninfo: {version: v1.0}\n" + THING,
            "'v1.0' is no version, such as 1.0 or 2.1; the v of",
        ),
        ("file_version: 1.0\ninfo: {version: one}\n" + THING, "'one' is no version, such as 1.0 or 2.1"),
        ("file_version: 1.0\ninfo: acme\n" + THING, "info must be a mapping"),
        (HEAD + "object: {}\n" + THING, "'object' is no keyword of a model file (did you mean 'objects'?)"),
        (HEAD + "license: MIT\n" + THING, "'license' is no keyword of a model file; there are file_version,"),
        (HEAD + "objects: []\n", "objects must be a mapping"),
        (HEAD, "no object has `api`, so the service would have nothing to serve"),
    ],
)
def test_what_a_file_lacks_or_should_not_have_is_told(text: str, message: str) -> None:
    assert any(message in error for error in errors(compile_text(text)))


def test_a_name_other_than_the_folders_is_only_a_warning() -> None:
    compiled = compile_text('file_version: "1.0"\ninfo: {name: acne, version: 1.0}\n' + THING)
    found = warnings(compiled)
    assert "api.yaml:2:14: info.name is 'acne', but the service is called after its folder: acme" in found[0]
    assert compiled.require().service == "acme"


def test_all_files_of_a_folder_are_one_model() -> None:
    model = model_of(
        compile_text(
            HEAD + "objects: {Thing: {api: {name: thing}, extends: Base}}",
            "objects: {Base: {attributes: {a: {type: Other}}}}",
            "file_version: 1.0\nobjects: {Other: {api: {name: other}}}",
        )
    )
    assert model.objects["Thing"].attributes["a"].target == "Other"


def test_info_in_two_files_is_an_error() -> None:
    error = only_error(compile_text(HEAD + THING, HEAD))
    assert error == "acme/more-1.yaml:2:1: info stands here a second time; the first is in acme/api.yaml"


def test_an_object_in_two_files_is_an_error() -> None:
    error = only_error(compile_text(HEAD + THING, "\n" + THING))
    assert (
        error == "acme/more-1.yaml:2:11: Thing: there is an object of this name already, at acme/api.yaml:3"
    )


def test_errors_of_all_files_are_told_at_once_by_place() -> None:
    found = errors(
        compile_text(
            HEAD + "objects: {Thing: {api: {name: thing}, attributes: {a: {type: strin}}}}",
            "objects: {Base: {attributs: {}}}",
            "a: [",
        )
    )
    assert [error.split(":")[0] for error in found] == [
        "acme/api.yaml",
        "acme/more-1.yaml",
        "acme/more-2.yaml",
    ]


def test_names_that_may_stand_in_a_broken_file_are_not_missed() -> None:
    text = HEAD + "objects: {Thing: {api: {name: t, parent: Up, parent_key: u}, extends: Base}}"
    assert only_error(compile_text(text, "objects: [a")).startswith("acme/more-1.yaml:")


def test_500_objects_are_a_model_and_no_more() -> None:
    objects = [f"O{number}: {{api: {{name: o{number}x}}}}" for number in range(501)]
    assert len(model_of(compile_objects("\n".join(objects[:500]))).objects) == 500
    assert "a model has at most 500 objects" in only_error(compile_objects("\n".join(objects)))


def test_an_object_too_large_for_etcd_is_refused() -> None:
    compiled = compile_objects("""
        Thing:
          api: {name: thing}
          attributes:
            small: {type: string}
            large: {type: string, length: 100000}
        """)
    error = only_error(compiled)
    assert "acme/api.yaml:8:37: Thing.large: an object could need 601" in error
    assert "bytes of JSON, of at most 524288" in error


def test_an_object_with_more_columns_than_databases_have_is_refused() -> None:
    attributes = ", ".join(f"a{number}: {{type: boolean}}" for number in range(1001))
    compiled = compile_objects(f"Thing: {{api: {{name: thing}}, attributes: {{{attributes}}}}}")
    assert "Thing: an object has at most 1000 attributes; this one has 1001" in only_error(compiled)


def test_what_is_required_can_be_asked_for() -> None:
    with pytest.raises(ModelError) as caught:
        compile_text("").require()
    assert "info is missing" in str(caught.value)
    assert caught.value.problems


def test_a_file_that_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    compiled = compile_files("acme", [tmp_path / "gone.yaml"], library_of(tmp_path))
    assert any("gone.yaml:1:1: can't be read: No such file" in error for error in errors(compiled))


def test_more_errors_than_anyone_reads_are_told_in_part() -> None:
    attributes = ", ".join(f"attribute_{number}: {{type: Typ{number}}}" for number in range(900))
    objects = "\n".join(f"Thing{n}: {{api: {{name: t{n}x}}, attributes: {{{attributes}}}}}" for n in range(3))
    compiled = compile_objects(objects)
    assert len(compiled.problems) == MOST_PROBLEMS + 1
    assert compiled.problems[-1].message == "1700 more problems are not shown"


def repeated(attributes: str) -> str:
    """A hundred objects that have the same attributes, by aliases."""
    objects = "\n".join(f"T{n}: {{api: {{name: t{n}x}}, attributes: *all}}" for n in range(99))
    return f"First: {{attributes: &all {{{attributes}}}}}\n{objects}"


def wide(number: int) -> str:
    return ", ".join(f"a{number}_{n}: {{type: uuid}}" for n in range(60))


@pytest.mark.parametrize(
    "objects",
    [
        repeated(", ".join(f"a{n}: {{type: strin}}" for n in range(900))),
        repeated(", ".join(f"a{n}: {{type: strin}}" for n in range(30_000))),
        "\n".join(f"B{n}: {{extends: B{n + 1}, attributes: {{{wide(n)}}}}}" for n in range(498)),
        "\n".join(f"B{n}: {{extends: B{(n + 1) % 499}, attributes: {{a: {{}}}}}}" for n in range(499)),
        "\n".join(f"B{n}: {{extends: C, api: {{name: b{n}, parent: C, parent_key: c}}}}" for n in range(499)),
    ],
    ids=["aliases", "many aliases", "long and wide", "circle", "unknown names"],
)
def test_objects_made_to_hurt_are_done_with_in_seconds(objects: str) -> None:
    started = time.process_time()
    assert errors(compile_objects(objects))
    assert time.process_time() - started < 20


def test_a_model_compiles_in_a_tenth_of_a_second_and_ten_megabytes() -> None:
    folder = bundled_models_dir() / "ietf-sfc"
    library = library_of(bundled_models_dir())

    def compile_it() -> float:
        started = time.process_time()
        assert compile_files("ietf-sfc", [folder / "api.yaml"], library).model
        return time.process_time() - started

    compile_it()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert min(compile_it() for _ in range(5)) < 0.1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * 1024


def test_a_model_made_from_its_document_is_the_same() -> None:
    model = model_of(
        compile_objects("""
            Base: {attributes: {id: {type: uuid, primary: true}, n: {type: number, min: 0.5}}}
            Thing:
              extends: Base
              api: {name: thing, parent: Up, parent_key: up}
              attributes: {up: {type: Up}, e: {type: enum, values: [a]}}
            Up: {api: {name: up}}
            """)
    )
    assert model_from_document(model.document) == model
