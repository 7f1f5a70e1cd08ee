"""Typed values from text, and back: query strings, path segments and command lines carry text only."""

from __future__ import annotations

import math
from typing import Any

from gluon.model.model import AttributeType

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def value_from_text(kind: AttributeType, text: str) -> Any:
    """The value of that wire type that the text spells; raises ValueError with what it must be.

    An empty text is null for every type but strings. Nothing but the type is looked at: ranges,
    formats and the values of an enum are the validator's.
    """
    if kind is AttributeType.STRING:
        return text
    if text == "":
        return None
    if kind is AttributeType.BOOLEAN:
        value = _BOOLEANS.get(text.strip().lower())
        if value is None:
            raise ValueError("must be true or false")
        return value
    if kind is AttributeType.INTEGER:
        return _integer(text)
    if kind is AttributeType.NUMBER:
        return _number(text)
    return text


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    # int() alone takes underscores, spaces, other scripts' digits, and texts of any length.
    if digits.isascii() and digits.isdigit() and len(digits) <= 40:
        return int(text)
    raise ValueError("must be an integer")


def _number(text: str) -> int | float:
    try:
        return _integer(text)
    except ValueError:
        pass
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number


def text_of_key(value: str | int | float | bool) -> str:
    """An identifying key as it stands in URLs and etcd keys, before percent-encoding."""
    if value is True or value is False:
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
