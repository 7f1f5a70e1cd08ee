"""OpenDaylight's YANG, and what libyang says of data."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from servers.programs import find_program, program_environment

COMMON = (
    "ietf-interfaces",
    "iana-if-type",
    "odl-interface",
    "neutron",
    "neutron-constants",
    "neutron-networks",
    "neutron-binding",
    "neutron-L3-ext",
    "neutron-provider-ext",
    "neutron-portsecurity",
)
CURRENT = "l3vpn-instances-interfaces"
OLDER = ("l3vpn", "odl-l3vpn")
_OLDER_FOLDER = Path(__file__).parent / "yang/older"


def opendaylight_models() -> Path:
    """The folder with OpenDaylight's YANG: in $GLUON_SHARED, else in `shared` beside the project.

    Without it the test is skipped, or fails where the variable CI is set.
    """
    beside = Path(__file__).resolve().parents[3] / "shared"
    folder = Path(os.environ.get("GLUON_SHARED") or beside) / "yang/opendaylight"
    if folder.is_dir():
        return folder
    sentence = (
        f"OpenDaylight's YANG is not at {folder}; set GLUON_SHARED to the folder that holds yang/opendaylight"
    )
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


class YangModels:
    """The modules of a controller: NetVirt's of today (`older` False) or of before."""

    def __init__(self, *, older: bool) -> None:
        self._folder = opendaylight_models()
        vpns = OLDER if older else (CURRENT,)
        self.modules = (*COMMON, *vpns)
        self._search = [str(_OLDER_FOLDER)] if older else []
        self._files = [str(self._folder / f"{name}.yang") for name in COMMON]
        self._files += [str((_OLDER_FOLDER if older else self._folder) / f"{name}.yang") for name in vpns]

    def problem(self, datastore: Mapping[str, Any]) -> str | None:
        """What libyang has against a whole configuration; None: nothing."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(datastore, file)
            file.flush()
            folders = [part for folder in (*self._search, str(self._folder)) for part in ("-p", folder)]
            command = [str(find_program("yanglint")), "-Q", *folders, "-e", "-t", "config"]
            done = subprocess.run(
                [*command, *self._files, file.name],
                capture_output=True,
                text=True,
                timeout=30,
                env=program_environment(),
            )
        said = " ".join(done.stderr.split())
        return said or f"yanglint ended with {done.returncode}" if done.returncode else None
