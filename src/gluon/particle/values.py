"""What a value of an attribute must be: one closure for each attribute, built once from the model.

Values stay as given: formats check, they never rewrite. Two exceptions make equal things equal: the
uuid of an identifying key, and of whatever refers to one, takes its lowercase dashed spelling; and an
empty string is null where an attribute that is not required holds a uuid, a reference, an enum or a
formatted string. A number is always given back as a float, which is what every database stores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from gluon.model.formats import FORMATS, canonical_uuid
from gluon.model.language import DEFAULT_LENGTH, PORT_JSON_BYTES
from gluon.model.model import Attribute, AttributeType, Role
from gluon.particle.spelling import did_you_mean

INT64 = (-(2**63), 2**63 - 1)
INT32 = (-(2**31), 2**31 - 1)
INTEGER_FORMATS = {"int32": INT32, "int64": INT64}

LONG_HOST_ID = 255
"""Characters of a host's name (RFC 1035 allows 253), whatever the model's length says."""

NOT_KEYS = (".", "..")
"""Not keys, because clients and proxies take them out of a URL's path (RFC 3986, section 5.2.4)."""

_LONGEST_ENUM_LIST = 20

Check = Callable[[Any], Any]
"""Takes the value as it came and gives the value to store; raises WrongValue."""


class WrongValue(ValueError):
    """A value that its attribute cannot have; the text says what it must be."""


def is_reference(attribute: Attribute) -> bool:
    """Whether the value must identify another object."""
    return attribute.type is AttributeType.REFERENCE or bool(attribute.refers_to)


def text_format(attribute: Attribute) -> str | None:
    """The format of the text of a string attribute; None without one that FORMATS knows."""
    if attribute.value_type is AttributeType.STRING and attribute.format in FORMATS:
        return attribute.format
    return None


def empty_is_null(attribute: Attribute) -> bool:
    """Whether an empty string stands for null."""
    return not attribute.required and (
        attribute.value_type in (AttributeType.UUID, AttributeType.ENUM)
        or is_reference(attribute)
        or text_format(attribute) is not None
    )


def is_canonical_uuid(attribute: Attribute, *, key: bool) -> bool:
    """Whether the value is a uuid of which both spellings must become one."""
    return attribute.value_type is AttributeType.UUID and (key or is_reference(attribute))


def text_limits(attribute: Attribute, role: Role) -> tuple[int, int]:
    """The most characters that a string may have, and the bytes that it may have all the same."""
    length = attribute.length if attribute.length is not None else DEFAULT_LENGTH
    if role is Role.PORT and attribute.value_type is AttributeType.STRING:
        if attribute.name in ("profile", "vif_details"):
            return length, PORT_JSON_BYTES
        if attribute.name == "host_id":
            return max(length, LONG_HOST_ID), 0
    return length, 0


def integer_range(attribute: Attribute) -> tuple[int, int]:
    """The least and the greatest value of an integer attribute."""
    least, greatest = INTEGER_FORMATS.get(attribute.format or "", INT64)
    if attribute.minimum is not None:
        least = max(least, math.ceil(attribute.minimum))
    if attribute.maximum is not None:
        greatest = min(greatest, math.floor(attribute.maximum))
    return least, greatest


def given_kind(value: Any) -> str:
    """What a value from JSON is, in a reader's words."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true or false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number with a decimal point"
    return "a list" if isinstance(value, list) else "an object"


def required_value(check: Check) -> Check:
    """The check of an attribute that must have a value."""

    def checked(value: Any) -> Any:
        if value is None:
            raise WrongValue("is required, so it cannot be null")
        return check(value)

    return checked


def optional_value(check: Check, *, empty: bool) -> Check:
    """The check of an attribute that may be null; with `empty`, an empty string is null too."""
    if empty:

        def checked_or_empty(value: Any) -> Any:
            return None if value is None or value == "" else check(value)

        return checked_or_empty

    def checked(value: Any) -> Any:
        return None if value is None else check(value)

    return checked


def value_check(attribute: Attribute, role: Role, *, key: bool) -> Check:
    """The check of one attribute's values other than null; `key`: it identifies the object."""
    kind = attribute.value_type
    if kind is AttributeType.BOOLEAN:
        return _boolean
    if kind is AttributeType.INTEGER:
        return _integer(attribute)
    if kind is AttributeType.NUMBER:
        return _number(attribute)
    if kind is AttributeType.UUID:
        return _canonical_uuid if is_canonical_uuid(attribute, key=key) else _uuid
    if kind is AttributeType.ENUM and attribute.values:
        return _enum(tuple(v for v in attribute.values if not (key and v in NOT_KEYS)))
    return _string(attribute, role, key=key)


def _refuse(must_be: str, value: Any) -> NoReturn:
    raise WrongValue(f"must be {must_be}, not {given_kind(value)}")


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    _refuse("true or false", value)


def _canonical_uuid(value: Any) -> str:
    if type(value) is not str:
        _refuse("a UUID in a string", value)
    canonical = canonical_uuid(value)
    if canonical is None:
        raise WrongValue("must be a UUID: 32 hexadecimal digits, with or without the four dashes")
    return canonical


def _uuid(value: Any) -> str:
    _canonical_uuid(value)
    return str(value)


def _enum(values: tuple[str, ...]) -> Check:
    allowed = frozenset(values)
    shown = ", ".join(values[:_LONGEST_ENUM_LIST])
    if len(values) > _LONGEST_ENUM_LIST:
        shown += f", … ({len(values)} in all)"

    def check(value: Any) -> str:
        if type(value) is str:
            if value in allowed:
                return value
            raise WrongValue(f"must be one of {shown}{did_you_mean(value, values)}")
        _refuse(f"one of {shown}", value)

    return check


def _integer(attribute: Attribute) -> Check:
    least, greatest = integer_range(attribute)
    stated = f"an integer{_range_words(attribute, least, greatest)}"
    width = 32 if attribute.format == "int32" else 64

    def check(value: Any) -> int:
        if type(value) is not int:
            _refuse(stated, value)
        if least <= value <= greatest:
            return value
        raise WrongValue(f"must be {stated}" + ("" if "from" in stated else f" that fits in {width} bits"))

    return check


def _range_words(attribute: Attribute, least: float, greatest: float) -> str:
    if attribute.format == "int32" or (attribute.minimum is not None and attribute.maximum is not None):
        return f" from {least} to {greatest}"
    if attribute.minimum is not None:
        return f" of at least {least}"
    if attribute.maximum is not None:
        return f" of at most {greatest}"
    return ""


def _number(attribute: Attribute) -> Check:
    least = -math.inf if attribute.minimum is None else attribute.minimum
    greatest = math.inf if attribute.maximum is None else attribute.maximum
    stated = f"a number{_range_words(attribute, least, greatest)}"

    def check(value: Any) -> float:
        if type(value) is not float:
            if type(value) is not int:
                _refuse(stated, value)
            value = _exact_float(value)
        if not least <= value <= greatest or math.isinf(value):
            raise WrongValue(f"must be {stated}")
        # Databases keep no sign of zero, so -0.0 becomes the 0.0 that will be read back.
        return float(value) + 0.0

    return check


def _exact_float(value: int) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number != value:
        raise WrongValue("must be a number that a 64-bit float holds exactly")
    return number


def _string(attribute: Attribute, role: Role, *, key: bool) -> Check:
    longest, bytes_allowed = text_limits(attribute, role)
    format_name = text_format(attribute)
    check_format = FORMATS[format_name].check if format_name is not None else None
    not_empty = key or is_reference(attribute) or check_format is not None
    kind = "a string that holds JSON" if format_name == "json" else "a string"

    def check(value: Any) -> str:
        if type(value) is not str:
            _refuse(kind, value)
        if "\0" in value:
            raise WrongValue("must not contain the NUL character")
        if not value.isascii():
            _refuse_surrogates(value)
        if len(value) > longest and (not bytes_allowed or len(value.encode()) > bytes_allowed):
            raise WrongValue(_too_long(longest, bytes_allowed, len(value)))
        if not_empty:
            if not value:
                raise WrongValue("must not be empty")
            if key and value in NOT_KEYS:
                raise WrongValue(f"must not be '{value}', which has a meaning of its own in URLs")
            if check_format is not None:
                wrong = check_format(value)
                if wrong is not None:
                    raise WrongValue(wrong)
        return value

    return check


def _refuse_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise WrongValue("must not contain half of a surrogate pair, which is not a character") from error


def _too_long(longest: int, bytes_allowed: int, length: int) -> str:
    if bytes_allowed > longest:
        return f"must have at most {bytes_allowed // 1024} KiB (this has {length} characters)"
    return f"must have at most {longest} characters (this has {length})"
