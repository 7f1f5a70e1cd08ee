"""The systemd units of the deployment guide are valid, and start what the package installs."""

from __future__ import annotations

import configparser
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from servers.programs import find_program

UNITS = sorted((Path(__file__).parents[3] / "deploy/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    installed = tmp_path / unit.name
    # systemd also looks whether the program is there: here it is in this environment.
    installed.write_text(unit.read_text().replace("/opt/gluon/bin", str(Path(sys.executable).parent)))
    answer = subprocess.run(
        [find_program("systemd-analyze"), "verify", "--man=no", installed],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in answer.stderr.splitlines() if unit.name in line]
    assert (answer.returncode, complaints) == (0, []), answer.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_starts_a_program_of_the_package(unit: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(unit)
    program, option, _ = parser["Service"]["ExecStart"].split()
    scripts = {e.name for e in distribution("gluon").entry_points if e.group == "console_scripts"}
    assert Path(program).name in scripts
    assert option == "--config-file"


def test_there_is_a_unit_for_each_server() -> None:
    assert [unit.name for unit in UNITS] == ["proton-server.service", "proton-shim-server.service"]
