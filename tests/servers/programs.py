"""Where Debian's programs are: on PATH, where their packages put them, or unpacked in .tools/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_UNPACKED = Path(__file__).parents[2] / ".tools/debian"
_FOLDERS = (
    "/usr/lib/postgresql/15/bin",
    "/usr/sbin",
    "/usr/bin",
    "/usr/lib/galera",
    "/usr/lib/openvswitch-switch",
    "/usr/share/openvswitch",
    "/usr/share/ovn",
)


def find_program(name: str) -> Path:
    """The path of a program (or of another file that a server wants) by its name."""
    on_path = shutil.which(name)
    places = [Path(on_path)] if on_path else []
    places += [Path(folder, name) for folder in _FOLDERS]
    places += [_UNPACKED / folder.lstrip("/") / name for folder in _FOLDERS]
    for place in places:
        if place.exists():
            return place
    raise RuntimeError(f"there is no {name}: run tests with make, which has scripts/get-debian provide it")


def find_library(name: str) -> Path:
    """The path of a shared library by its file's name, of the system or unpacked."""
    for root in (Path("/"), _UNPACKED):
        for place in sorted(root.glob(f"usr/lib/*-linux-gnu/{name}")):
            return place
    raise RuntimeError(f"there is no {name}: run tests with make, which has scripts/get-debian provide it")


def program_environment() -> dict[str, str]:
    """The environment to run such programs in: those that are unpacked find their scripts and libraries."""
    folders = [str(_UNPACKED / folder) for folder in ("usr/sbin", "usr/bin")]
    libraries = [str(path) for path in _UNPACKED.glob("usr/lib/*-linux-gnu")]
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), *folders])
    if libraries:
        known = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = os.pathsep.join([*([known] if known else []), *libraries])
    return environment
