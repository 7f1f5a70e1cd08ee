"""Whether an etcd may be used at all: who starts asks that first."""

from __future__ import annotations

from gluon.etcd.client import Etcd
from gluon.etcd.records import Status
from gluon.etcd.version import parse_version, version_problem

_PATIENCE = 2.0
"""Seconds that members have to tell their version; who starts doesn't wait for an etcd that is away."""


class UnsafeVersion(Exception):
    """A member is of a version that can lose what it has acknowledged; the message says which will do."""


async def refuse_unsafe_version(etcd: Etcd, *, allowed: bool) -> bool:
    """Raises UnsafeVersion if any member that can be asked is of such a version, unless that is `allowed`.

    False when no member can be asked: then nothing is known.
    """
    known = False
    for url, status in (await etcd.statuses(_PATIENCE)).items():
        if not isinstance(status, Status):
            continue
        known = True
        problem = version_problem(parse_version(status.version))
        if problem is not None and not allowed:
            raise UnsafeVersion(
                f"etcd at {url} is refused: {problem}. For a trial, set [etcd] allow_unsafe_version"
            )
    return known
