"""Answers to binds, as they stand in etcd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_FAILED = "binding_failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the bind `bind_id`: a VIF, or a refusal with its reason."""

    controller: str
    bind_id: str
    vif_type: str | None = None
    vif_details: str | None = None
    """As JSON text."""
    rejected: str | None = None

    def encode(self) -> bytes:
        """For etcd."""
        who = {"controller": self.controller, "bind_id": self.bind_id}
        if self.rejected is not None:
            return msgspec.json.encode({"rejected": self.rejected, **who})
        details = msgspec.Raw(self.vif_details.encode()) if self.vif_details is not None else None
        return msgspec.json.encode({"vif_type": self.vif_type, "vif_details": details, **who})


def answer_of_backend(controller: str, bind_id: str, vif: Any) -> Answer:
    """From what `bind_port` gave; raises ValueError for what is no VIF."""
    if not isinstance(vif, Mapping):
        raise ValueError(f"bind_port gave {vif!r:.80}, which is no mapping with vif_type and vif_details")
    vif_type, details = vif.get("vif_type"), vif.get("vif_details")
    if not isinstance(vif_type, str) or not vif_type:
        raise ValueError(f"bind_port gave the vif_type {vif_type!r:.80}, which is no name")
    if vif_type == _FAILED:
        raise ValueError(f"bind_port gave the vif_type {_FAILED}: raise PermanentError to refuse a bind")
    unknown = sorted(str(name) for name in vif if name not in ("vif_type", "vif_details"))
    if unknown:
        raise ValueError(f"bind_port gave {', '.join(unknown)}, which is no part of a VIF")
    if details is None:
        return Answer(controller, bind_id, vif_type)
    if not isinstance(details, Mapping):
        raise ValueError(f"bind_port gave the vif_details {details!r:.80}, which are no mapping")
    try:
        text = msgspec.json.encode(dict(details)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"bind_port gave vif_details that don't fit JSON: {error}") from error
    return Answer(controller, bind_id, vif_type, text)


def answer_in_etcd(value: bytes) -> Answer | None:
    """From etcd; None for a value that is no answer."""
    try:
        found = msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    details = found.get("vif_details")
    rejected = found.get("rejected")
    return Answer(
        str(found.get("controller")),
        str(found.get("bind_id")),
        found.get("vif_type"),
        msgspec.json.encode(details).decode() if details is not None else None,
        str(rejected) if rejected is not None else None,
    )
