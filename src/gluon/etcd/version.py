"""Which versions of the etcd server keep what they have acknowledged.

Kept importable without anything but the standard library: scripts/get-etcd uses it before there is a .venv.
"""

from __future__ import annotations

import re

Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """The first `N.N.N` in a text; raises ValueError when there is none."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"there is no version in {text!r}")
    return int(match[1]), int(match[2]), int(match[3])


def version_problem(version: Version) -> str | None:
    """Why data is not safe with a version of etcd; None when it is.

    As etcd's maintainers announced (etcd issues 13766 and 14370): members from 3.5.0 to 3.5.2 may become
    inconsistent when killed, and a single member acknowledged writes before they were on disk.
    """
    if (3, 4, 22) <= version < (3, 5, 0) or version >= (3, 5, 6):
        return None
    spelt = ".".join(map(str, version))
    return (
        f"etcd {spelt} can lose acknowledged writes when it is killed: "
        "use 3.4.22 or later, but none of 3.5.0 to 3.5.5"
    )
