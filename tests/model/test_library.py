from __future__ import annotations

from pathlib import Path

import pytest

from gluon.model.catalog import bundled_models_dir
from gluon.model.library import ImportRefused, Library
from model.written import HEAD, compile_text, errors, model_of, only_error

BASE = "objects: {Base: {attributes: {here: {type: string}}}}\n"
THING = "objects: {Thing: {api: {name: thing}, extends: Base}}\n"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "base").mkdir(parents=True)
    (folder / "base" / "base.yaml").write_text(BASE)
    return folder


@pytest.fixture
def library(models: Path) -> Library:
    return Library((models, bundled_models_dir()))


def importing(imports: str, objects: str = THING) -> str:
    return f"{HEAD}imports: {imports}\n{objects}"


@pytest.mark.parametrize(
    "imports", ["base/base.yaml", "[base/base.yaml]", "[base/base.yaml, ./base/base.yaml]"]
)
def test_objects_of_an_imported_file_are_part_of_the_model(imports: str, library: Library) -> None:
    model = model_of(compile_text(importing(imports), library=library))
    assert "here" in model.objects["Thing"].attributes


def test_the_models_directory_comes_before_the_bundled_models(library: Library) -> None:
    # The bundled base.yaml has no object called Base.
    assert library.read("base/base.yaml").content.decode() == BASE
    with pytest.raises(ImportRefused):
        library.read("base/none.yaml")


def test_what_the_models_directory_lacks_is_found_among_the_bundled_models(tmp_path: Path) -> None:
    library = Library((tmp_path, bundled_models_dir()))
    objects = "objects: {Thing: {api: {name: thing}, extends: BaseObject}}"
    model = model_of(compile_text(importing("base/base.yaml", objects), library=library))
    assert "tenant_id" in model.objects["Thing"].attributes


def test_imported_objects_stand_before_those_that_extend_them(library: Library) -> None:
    model = model_of(compile_text(importing("base/base.yaml"), library=library))
    assert list(model.document["objects"]) == ["Base", "Thing"]


def test_an_imported_file_may_import(models: Path, library: Library) -> None:
    (models / "base" / "more.yaml").write_text("imports: base/base.yaml\nobjects: {More: {extends: Base}}")
    objects = "objects: {Thing: {api: {name: thing}, extends: More}}"
    imports = "[base/more.yaml, base/base.yaml]"
    model = model_of(compile_text(importing(imports, objects), library=library))
    assert "here" in model.objects["Thing"].attributes


def test_the_info_of_an_imported_file_is_its_own_affair(models: Path, library: Library) -> None:
    (models / "other").mkdir()
    (models / "other" / "api.yaml").write_text("info: {name: other, version: 7.0}\n" + BASE)
    model = model_of(compile_text(importing("other/api.yaml"), library=library))
    assert (model.service, model.version) == ("acme", "1.0")


def test_imports_in_a_circle_are_told(models: Path, library: Library) -> None:
    (models / "base" / "a.yaml").write_text("imports: base/b.yaml\n")
    (models / "base" / "b.yaml").write_text("imports: base/a.yaml\n")
    error = only_error(compile_text(importing("[base/base.yaml, base/a.yaml]"), library=library))
    assert "b.yaml:1:10: imports go in a circle: base/a.yaml → base/b.yaml → base/a.yaml" in error


def test_an_imported_files_errors_are_told_at_its_own_place(models: Path, library: Library) -> None:
    (models / "base" / "bad.yaml").write_text("objects: {Base: {attributes: {a: {type: strin}}}}")
    error = only_error(compile_text(importing("base/bad.yaml"), library=library))
    assert error.startswith(f"{models}/base/bad.yaml:1:41: Base.a: 'strin'")


@pytest.mark.parametrize(
    ("imports", "message"),
    [
        (
            "base/bas.yaml",
            "import 'base/bas.yaml': no such file in the models directory or among the bundled models",
        ),
        ("base/bas.yaml", "(did you mean 'base/base.yaml'?)"),
        ("base", "no such file"),
        ("../base/base.yaml", "never outside them: no absolute path and no '..'"),
        ("base/../../base/base.yaml", "no absolute path and no '..'"),
        ("/etc/passwd", "no absolute path and no '..'"),
        ("'base\\base.yaml'", "write the path from the models directory, such as base/base.yaml"),
        ('"base/a\\0.yaml"', "a character that may not stand in text (NUL"),
        ("''", "write the path from the models directory"),
        ("3", "imports: YAML takes 3 for a number"),
        ("{a: b}", "imports must be a single word, not a mapping"),
        ("[[base/base.yaml]]", "each of the imports must be a single word, not a list"),
    ],
)
def test_what_can_not_be_imported_is_refused(imports: str, message: str, library: Library) -> None:
    found = errors(compile_text(importing(imports), library=library))
    assert any(message in error for error in found), found


def test_a_link_out_of_the_models_directory_is_refused(
    tmp_path: Path, models: Path, library: Library
) -> None:
    (tmp_path / "secret.yaml").write_text(BASE)
    (models / "base" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (models / "out").symlink_to(tmp_path)
    for path in ("base/link.yaml", "out/secret.yaml"):
        error = errors(compile_text(importing(path), library=library))[0]
        assert f"import '{path}': is a link that leads out of the models directory" in error


def test_a_link_within_the_models_directory_is_followed(models: Path, library: Library) -> None:
    (models / "base" / "link.yaml").symlink_to("base.yaml")
    assert model_of(compile_text(importing("base/link.yaml"), library=library))


def test_what_is_no_file_is_refused_without_waiting_for_it(models: Path, library: Library) -> None:
    (models / "base" / "loop.yaml").symlink_to("loop.yaml")
    (models / "base" / "folder.yaml").mkdir()
    for path in ("base/loop.yaml", "base/folder.yaml"):
        with pytest.raises(ImportRefused):
            library.read(path)
