"""A bind that has begun, and neither has an answer nor ran out of time."""

from __future__ import annotations

from typing import NamedTuple

from gluon.proton.registry import HostedObject


class PendingBind(NamedTuple):
    """Which bind, and of which port."""

    hosted: HostedObject
    port_id: str
    bind_id: str
