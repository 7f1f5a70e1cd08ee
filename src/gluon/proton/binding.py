"""What a write of a port means for its binding: bind, unbind, or nothing.

A port is bound by `host_id` and `device_id` together, and unbound by taking `host_id` away. Everything
else that changes on a port leaves its binding alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluon.particle.tables import BindState

FAILED = "binding_failed"
"""`vif_type` of a port that no controller has bound, as Nova and Neutron know it."""


def was_ever_bound(stored: Mapping[str, Any]) -> bool:
    """Whether the port's status belongs to the server by now."""
    return stored["bind_state"] is not None


def binding_changes(
    stored: Mapping[str, Any] | None, changes: Mapping[str, Any], bind_id: str | None
) -> dict[str, Any]:
    """The further changes that a write of a port brings with it; empty when its binding stays.

    `stored` is None for a new port; `changes` is what the body gives, also where it gives what is stored:
    the same host again tries a bind that has failed once more. A bind that starts is known as `bind_id`.
    """
    before = stored or {"host_id": None, "device_id": None, "bind_id": None, "bind_state": None}
    if "host_id" not in changes and "device_id" not in changes:
        return {}
    host = changes.get("host_id", before["host_id"])
    device = changes.get("device_id", before["device_id"])
    if not host:
        return _unbind() if before["bind_id"] is not None else {}
    moved = host != before["host_id"]
    if not device:
        # What is bound elsewhere can't stand for the new host, and without a device nothing is bound there.
        return _unbind() if moved and before["bind_id"] is not None else {}
    # A bind under way is not begun again: whoever asks for it once more waits for the same answer.
    failed = before["bind_state"] in (BindState.TIMED_OUT, BindState.REFUSED)
    if before["bind_id"] is None or moved or ("host_id" in changes and failed):
        return _bind(before, changes, bind_id)
    return {}


def ends_all_bindings(given: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Whether a write that brings such changes unbinds the port, wherever it is bound."""
    return ("bind_id" in changes and changes["bind_id"] is None) or (
        "host_id" in given and not given["host_id"]
    )


def _bind(before: Mapping[str, Any], changes: Mapping[str, Any], bind_id: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {"bind_id": bind_id, "bind_state": BindState.PENDING.value, "status": "DOWN"}
    if before["bind_id"] is not None:
        # What the controller of the last host said doesn't hold for the next one.
        stale = [n for n in ("vif_type", "vif_details") if n not in changes or changes[n] == before[n]]
        result.update(dict.fromkeys(stale))
    return result


def _unbind() -> dict[str, Any]:
    return {
        "bind_id": None,
        "bind_state": BindState.UNBOUND.value,
        "status": "DOWN",
        "vif_type": None,
        "vif_details": None,
    }
