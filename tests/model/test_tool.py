from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gluon.model.tool import main
from shared_models import upstream_models

SOUND = 'file_version: "1.0"\ninfo: {name: acme, version: "1.0"}\nobjects: {Thing: {api: {name: thing}}}\n'


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models"
    write(folder / "acme" / "api.yaml", SOUND)
    write(folder / "wrong" / "api.yaml", SOUND.replace("acme", "wrong").replace("thing}", "thing, plurl: x}"))
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_list_shows_services_versions_and_objects() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "net-l3vpn v1.0  Layer 3 VPNs" in result.stdout
    assert "  interfaces        Interface        interface, below Port\n" in result.stdout
    assert result.stderr == ""


def test_list_gives_json() -> None:
    listed = json.loads(run("list", "--format", "json").stdout)
    service = next(s for s in listed["services"] if s["service"] == "net-l3vpn")
    version = service["versions"][0]
    assert (version["version"], version["version_id"]) == ("1.0", "v1.0")
    assert len(version["digest"]) == 64
    binding = next(o for o in version["objects"] if o["name"] == "VpnBinding")
    assert binding == {
        "name": "VpnBinding",
        "api_name": "vpnbinding",
        "plural_name": "vpnbindings",
        "role": "service_binding",
        "key": "interface_id",
        "parent": None,
    }


def test_list_names_broken_models_on_stderr(models: Path) -> None:
    result = run("list", "--models", models)
    assert result.exit_code == 0
    assert "acme v1.0\n  things  Thing\n" in result.stdout
    assert result.stderr == "wrong: 1 error; see: gluon-api-tool check wrong\n"


@pytest.mark.parametrize("command", [["list"], ["check", "test"]])
def test_a_models_folder_that_is_not_there_is_one_clear_line(command: Sequence[str], tmp_path: Path) -> None:
    result = run(*command, "--models", tmp_path / "none")
    assert result.exit_code == 1
    assert result.stderr == f"Error: --models: there is no folder {tmp_path}/none\n"


def test_check_of_something_sound_is_a_line_and_exit_code_0(models: Path) -> None:
    for target in ("models/acme", models / "acme" / "api.yaml"):
        result = run("check", target)
        assert (result.exit_code, result.stdout) == (0, "acme 1.0: sound, 1 objects\n")


def test_check_tells_all_problems_with_short_paths_and_exit_code_1(models: Path) -> None:
    write(models / "wrong" / "more.yaml", "objects: {Bas: {extends: Base}}\n")
    result = run("check", models / "wrong")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "models/wrong/api.yaml:3:38: Thing: 'plurl' is no keyword of api (did you mean 'plural_name'?)",
        "models/wrong/more.yaml:1:26: Bas: extends 'Base', which no file declares; is an import missing?",
        "2 errors",
    ]


def test_check_gives_json(models: Path) -> None:
    result = run("check", models / "wrong", "--format", "json")
    assert result.exit_code == 1
    checked = json.loads(result.stdout)
    assert checked["sound"] is False
    assert checked["models"] == []
    assert checked["problems"] == [
        {
            "path": f"{models}/wrong/api.yaml",
            "line": 3,
            "column": 38,
            "object": "Thing",
            "attribute": None,
            "message": "'plurl' is no keyword of api (did you mean 'plural_name'?)",
            "severity": "error",
        }
    ]


def test_check_of_a_models_folder_checks_all_of_it(models: Path) -> None:
    write(models / "base" / "base.yaml", "objects: {Base: {extend: x}}\n")
    result = run("check", models)
    assert result.exit_code == 1
    assert "acme 1.0: sound" in result.stdout
    assert "models/wrong/api.yaml:3:38: Thing" in result.stdout
    assert "models/base/base.yaml:1:18: Base: 'extend' is no keyword" in result.stdout


def test_check_by_name_finds_bundled_models_and_those_of_a_folder(models: Path) -> None:
    assert run("check", "net-l3vpn").stdout == "net-l3vpn 1.0: sound, 7 objects\n"
    assert run("check", "wrong", "--models", models).exit_code == 1


def test_a_warning_leaves_the_exit_code_0(models: Path) -> None:
    write(models / "acme" / "api.yaml", SOUND.replace("name: acme", "name: acne"))
    result = run("check", models / "acme")
    assert result.exit_code == 0
    assert "called after its folder: acme (warning)" in result.stdout
    assert result.stdout.endswith("acme 1.0: sound, 1 objects\n1 warning\n")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("net-l3vpm", "'net-l3vpm' is no file, no folder and no service; did you mean 'net-l3vpn'?"),
        ("qqq", "'qqq' is no file, no folder and no service; services are ietf-sfc, net-l3vpn, test"),
    ],
)
def test_a_name_that_is_nothing_is_one_clear_line(target: str, message: str) -> None:
    result = run("check", target)
    assert (result.exit_code, result.stderr) == (1, f"Error: {message}\n")


def test_a_folder_without_models_is_one_clear_line(tmp_path: Path) -> None:
    result = run("check", tmp_path)
    assert result.exit_code == 1
    assert "has no model: no .yaml file in it, nor in a folder below it" in result.stderr


def test_a_file_that_services_import_is_checked_as_such(models: Path) -> None:
    write(models / "base" / "base.yaml", "objects: {Base: {attributes: {a: {type: uuid}}}}\n")
    for target in (models / "base", models / "base" / "base.yaml"):
        result = run("check", target)
        assert result.exit_code == 0
        assert "sound; nothing here is a service by itself" in result.stdout


def test_a_file_is_checked_with_the_other_files_of_its_model(models: Path) -> None:
    write(models / "acme" / "base.yaml", "objects: {Base: {attributes: {a: {type: Thing}}}}\n")
    assert run("check", models / "acme" / "base.yaml").stdout == "acme 1.0: sound, 1 objects\n"


def test_independent_models_in_one_folder_are_checked_for_themselves(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", SOUND.replace("acme", "one"))
    write(tmp_path / "two.yaml", SOUND.replace("acme", "two"))
    assert run("check", tmp_path / "two.yaml").stdout == "two 1.0: sound, 1 objects\n"


def test_a_folder_of_versions_is_one_service(models: Path) -> None:
    write(models / "acme" / "v2" / "api.yaml", SOUND.replace('"1.0"}', '"2.0"}'))
    assert run("check", models / "acme").stdout == "acme 1.0: sound, 1 objects\nacme 2.0: sound, 1 objects\n"
    assert run("check", models / "acme" / "v2").stdout == "acme 2.0: sound, 1 objects\n"
    (models / "acme" / "api.yaml").unlink()
    assert run("check", models / "acme").stdout == "acme 2.0: sound, 1 objects\n"


def test_upstreams_models_are_sound() -> None:
    result = run("check", upstream_models())
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
