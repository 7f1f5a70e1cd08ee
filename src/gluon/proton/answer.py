"""A controller's answer to a bind, as it stands in etcd and as it is stored in the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gluon.particle.tables import BindState
from gluon.proton.binding import FAILED

MAX_VIF_TYPE = 255
MAX_VIF_DETAILS = 64 * 1024
"""Bytes of JSON text: what a port's `vif_details` holds at the least."""


class MalformedAnswer(Exception):
    """A value that is no answer; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller made of the bind `bind_id`: a VIF, or a refusal with its reason."""

    bind_id: str
    controller: str
    vif_type: str = FAILED
    vif_details: str | None = None
    """JSON text, which is how a port's string attribute holds it."""
    refusal: str | None = None

    @property
    def state(self) -> BindState:
        """Where the port's binding stands once this is stored."""
        return BindState.ANSWERED if self.refusal is None else BindState.REFUSED

    @property
    def changes(self) -> Mapping[str, Any]:
        """The port's attributes that this sets."""
        return {
            "vif_type": self.vif_type,
            "vif_details": self.vif_details,
            "status": "ACTIVE" if self.refusal is None else "DOWN",
        }


def parse_answer(value: bytes) -> Answer:
    """Read `{"vif_type", "vif_details", "controller", "bind_id"}` or `{"rejected": why, "bind_id", ...}`.

    `vif_details` is an object, or a string that holds one. Raises MalformedAnswer.
    """
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswer(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedAnswer("it is not a JSON object")
    bind_id = _text(document, "bind_id", 255)
    controller = _text(document, "controller", 255) if document.get("controller") is not None else ""
    if "rejected" in document:
        reason = document["rejected"]
        return Answer(bind_id, controller, refusal=reason if isinstance(reason, str) else str(reason))
    vif_type = _text(document, "vif_type", MAX_VIF_TYPE)
    if vif_type == FAILED:
        return Answer(bind_id, controller, refusal=f"the controller answered {FAILED}")
    return Answer(bind_id, controller, vif_type, _details(document.get("vif_details")))


def _text(document: Mapping[str, Any], name: str, limit: int) -> str:
    text = document.get(name)
    if not isinstance(text, str) or not text or "\0" in text or len(text) > limit:
        raise MalformedAnswer(f"{name} must be a string of 1 to {limit} characters, not {text!r:.80}")
    return text


def _details(details: Any) -> str | None:
    if details is None:
        return None
    if isinstance(details, str):
        text = details
        try:
            parsed = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise MalformedAnswer(f"vif_details is a string that holds no JSON: {error}") from error
    else:
        parsed = details
        try:
            text = msgspec.json.encode(details).decode()
        except (msgspec.EncodeError, OverflowError, RecursionError) as error:
            raise MalformedAnswer(f"vif_details can't be kept as JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise MalformedAnswer(f"vif_details must be a JSON object, not {details!r:.80}")
    if len(text.encode()) > MAX_VIF_DETAILS:
        raise MalformedAnswer(f"vif_details is longer than {MAX_VIF_DETAILS} bytes")
    return text
