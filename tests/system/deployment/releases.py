"""Servers of an earlier release, from its wheel, in this environment."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from system.faults.processes import Program

_WHEELS = Path(__file__).parents[2] / "releases"


def unpack_release(version: str, folder: Path) -> Path:
    """The folder from which Python imports that release."""
    target = folder / f"gluon-{version}"
    with zipfile.ZipFile(_WHEELS / f"gluon-{version}-py3-none-any.whl") as wheel:
        wheel.extractall(target)
    return target


def old_program(release: Path, module: str, config: Path, name: str) -> Program:
    """A server of that release: its `main`, with its own package before the one under test."""
    start = f"import sys; sys.path.insert(0, {str(release)!r}); from {module} import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "--config-file", str(config)]
    return Program(name, command, config.with_name(f"{name}.log"))
