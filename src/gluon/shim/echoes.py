"""Changes of a port that are no news to its backend: the server's own record of what the backend answered."""

from __future__ import annotations

from typing import Any

import msgspec

from gluon.shim.journal import Binding, Entry, Phase, State
from gluon.shim.shelf import Document, decode

_KEPT_BY_SERVER = frozenset({"revision_number", "updated_at", "status", "vif_type", "vif_details"})
_NOT_ANSWERED = (None, "binding_failed")


def is_echo(entry: Entry, raw: bytes) -> bool:
    """Whether a port differs from what was applied only by the server's own record.

    For who has bound or refused it that is what came of the bind, for others its status alone.
    """
    binding = entry.binding
    if binding is None:
        return entry.state is State.APPLIED and _only_status_differs(decode(entry.applied), decode(raw))
    if binding.phase not in (Phase.BOUND, Phase.REFUSED):
        return False
    if entry.state is not State.APPLIED and entry.reason != binding.rejected:
        return False  # A change that failed half-way may have left its traces.
    before, now = decode(entry.applied), decode(raw)
    return _without(before) == _without(now) and _is_ours(binding, now)


def _only_status_differs(before: Document, now: Document) -> bool:
    # Of all objects only ports have a bind_id.
    if "bind_id" not in now or _without(before) != _without(now):
        return False
    return all(before.get(name) == now.get(name) for name in ("vif_type", "vif_details"))


def _without(document: Document) -> dict[str, Any]:
    left = {name: value for name, value in document.items() if name not in _KEPT_BY_SERVER}
    # Of inactive bindings, too, what they were answered is the server's own record.
    left["bindings"] = [
        (binding.get("host"), binding.get("bind_id"), binding.get("profile"))
        for binding in document.get("bindings") or ()
    ]
    return left


def _is_ours(binding: Binding, port: Document) -> bool:
    if port.get("vif_type") in _NOT_ANSWERED:
        return True
    details = port.get("vif_details")
    try:
        same = details is None or msgspec.json.decode(details) == _details(binding)
    except (msgspec.DecodeError, TypeError):
        same = False
    return port.get("vif_type") == binding.vif_type and same


def _details(binding: Binding) -> Any:
    return msgspec.json.decode(binding.vif_details) if binding.vif_details is not None else None
