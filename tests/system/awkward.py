"""Values that an attribute may have and that are easily lost on the way: all that is at an edge."""

from __future__ import annotations

import math
import uuid
from random import Random
from typing import Any

from gluon.model.formats import canonical_uuid
from gluon.model.model import ApiObject, Attribute, AttributeType
from gluon.particle.values import empty_is_null, integer_range, is_canonical_uuid, text_limits

_TEXTS = (
    *("", " ", "a", "a/b", "a//b", "...", "%2F", "%", "?", "#", "&x=1+1", "~", "a,b", "a b", "attr:a"),
    *("null", "true", "0", "1e3", "0x10", "-", "--", "*", "'", '"', "\\", "'; --", "\t\r\n", "\x01\x1f\x7f"),
    *("ü", "e\u0301", "ß", "İ", "\u2028", "\ufeff", "\u200b", "\ue000\uffff", "𝄞", "🧪" * 3, "你好"),
)
_BY_FORMAT = {
    "date-time": (
        "2026-11-22T04:15:36Z",
        "0000-02-29t23:59:60.000000000000001-23:59",
        "9999-12-31T00:00:00+00:00",
    ),
    "json": ("{}", "null", '"\\u0000"', "1E400", ' [1,\n"ü𝄞"] ', '{"a":1,"a":2}', "-0.0"),
    "ipv4": ("0.0.0.0", "255.255.255.255", "10.1.2.3"),
    "ipv6": ("::", "2001:DB8:0:0::1", "::ffff:192.0.2.1"),
    "mac": ("00:00:00:00:00:00", "AA:bb:CC:dd:EE:ff", "00-11-22-33-44-55"),
    "uri": ("a:", "https://[2001:db8::1]:8080/%20?x=y&z#f", "urn:uuid:x"),
    "email": ("a@b", "a.b+c@xn--bcher-kva.example", "x@[192.0.2.1]", "x@[IPv6:::1]"),
}
_NUMBERS = (0.0, -0.0, 1, -1, 0.1, -2.5, 1e22, 5e-324, 1.7976931348623157e308, 2**53, 2.0**-30, 1 / 3)
_INTEGERS = (0, 1, -1, 2**31, 2**53 + 1, 10**18)


def value_of(random: Random, found: ApiObject, attribute: Attribute) -> Any:
    """A value that a request may give to the attribute; references aside, whose targets must exist."""
    if attribute.value_type is AttributeType.UUID:
        return random.choice(spellings(uuid.UUID(int=random.getrandbits(128))))
    return random.choice(values_of(found, attribute))


def spellings(number: uuid.UUID) -> tuple[str, ...]:
    """All that one uuid may be written as."""
    return (str(number), number.hex, str(number).upper(), number.hex.upper())


def values_of(found: ApiObject, attribute: Attribute) -> list[Any]:
    """The values at the edges of an attribute that is no uuid."""
    kind = attribute.value_type
    if kind is AttributeType.BOOLEAN:
        return [True, False]
    if kind is AttributeType.INTEGER:
        least, greatest = integer_range(attribute)
        edges = {least, least + 1, greatest - 1, greatest, *_INTEGERS}
        return sorted(n for n in edges if least <= n <= greatest)
    if kind is AttributeType.NUMBER:
        low = -math.inf if attribute.minimum is None else attribute.minimum
        high = math.inf if attribute.maximum is None else attribute.maximum
        return [n for n in (low, high, *_NUMBERS) if low <= n <= high and math.isfinite(n)]
    if kind is AttributeType.ENUM:
        return list(attribute.values)
    return _texts(found, attribute)


def as_stored(found: ApiObject, attribute: Attribute, given: Any) -> Any:
    """What must come back, by the design's words: all stays as given, with two exceptions."""
    if given is None or (given == "" and empty_is_null(attribute)):
        return None
    if is_canonical_uuid(attribute, key=attribute.name == found.key):
        return canonical_uuid(given)
    if attribute.value_type is AttributeType.NUMBER:
        return float(given) + 0.0
    return given


def _texts(found: ApiObject, attribute: Attribute) -> list[str]:
    longest, _ = text_limits(attribute, found.role)
    if attribute.format in _BY_FORMAT:
        return [text for text in _BY_FORMAT[attribute.format] if len(text) <= longest]
    texts = [text for text in (*_TEXTS, "x" * longest, "𝄞" * longest) if len(text) <= longest]
    is_key = attribute.name == found.key
    return [text for text in texts if text not in ("", ".", "..") or not is_key]
