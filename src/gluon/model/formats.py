"""Formats of the model language: they check text and never change it."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from gluon.model.model import AttributeType


@dataclass(frozen=True, slots=True)
class Format:
    """A closer form of a string or an integer."""

    name: str
    type: AttributeType
    """The attribute type that may have this format: string or integer."""
    meaning: str
    check: Callable[[str], str | None]
    """None for text that has the form, else a sentence that says what is wrong."""
    minimum: int | None = None
    maximum: int | None = None


# RFC 3339, section 5.6; letters T and Z in either case, an offset always there.
_DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-]([0-9]{2}):([0-9]{2}))"
)
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}")
# RFC 3986, section 3: a scheme, then only characters that a URI may have, `%` followed by two hex digits.
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
# RFC 5321, section 4.1.2: a dot-atom of at most 64 octets, `@`, a domain name or an address literal.
_EMAIL_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def canonical_uuid(text: str) -> str | None:
    """The lowercase, dashed spelling of a UUID written in any case, with or without its dashes.

    None for any other text (RFC 9562, section 4; no braces, no `urn:uuid:`).
    """
    lowered = text.lower() if text.isascii() else ""
    if not _UUID.fullmatch(lowered):
        return None
    digits = lowered.replace("-", "")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _date_time(text: str) -> str | None:
    wrong = "not a date and time of RFC 3339, such as 2026-11-22T03:41:00Z"
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return wrong
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset_hour, offset_minute = (int(part or 0) for part in match.groups()[6:])
    # RFC 3339 admits second 60, for leap seconds, and year 0, which Python's calendar lacks; year 0 is
    # a leap year like 2000.
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        return wrong
    try:
        datetime.date(year or 2000, month, day)
    except ValueError as error:
        return f"not a date that exists: {error}"
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Numbers are not converted: JSON sets no bounds to them, Python does.
_JSON_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=str, parse_float=str)


def _json(text: str) -> str | None:
    try:
        _JSON_DECODER.decode(text)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    except ValueError as error:
        return f"not JSON: {error}"
    except RecursionError:
        return "JSON that is nested too deep"
    return None


def _ipv4(text: str) -> str | None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return "not an IPv4 address, such as 192.0.2.1"
    return None


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return "not an IPv6 address, such as 2001:db8::1"
    return None if address.scope_id is None else "an IPv6 address here has no zone ('%' and what follows)"


def _mac(text: str) -> str | None:
    return None if _MAC.fullmatch(text) else "not a MAC address, such as c8:2a:14:04:43:80"


def _uri(text: str) -> str | None:
    return None if _URI.fullmatch(text) else "not a URI of RFC 3986, such as https://example.org/"


def _email(text: str) -> str | None:
    wrong = "not an e-mail address, such as noc@example.org"
    local, at, domain = text.rpartition("@")
    if not at or len(local) > 64 or len(domain) > 255 or not _EMAIL_LOCAL.fullmatch(local):
        return wrong
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        is_ipv6 = literal[:5].lower() == "ipv6:"
        return wrong if (_ipv6(literal[5:]) if is_ipv6 else _ipv4(literal)) else None
    if all(_DOMAIN_LABEL.fullmatch(label) for label in domain.split(".")):
        return None
    return wrong


def _integer(bits: int) -> Format:
    minimum, maximum = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(text: str) -> str | None:
        if _INTEGER.fullmatch(text) and minimum <= int(text) <= maximum:
            return None
        return f"not an integer from {minimum} to {maximum}"

    meaning = f"an integer of {bits} bits, from {minimum} to {maximum}"
    return Format(f"int{bits}", AttributeType.INTEGER, meaning, check, minimum, maximum)


def _string(name: str, meaning: str, check: Callable[[str], str | None]) -> Format:
    return Format(name, AttributeType.STRING, meaning, check)


INT64 = _integer(64)
"""What an integer without a format is held to."""

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format_.name: format_
        for format_ in (
            _string("date-time", "a date and time of RFC 3339, offset included", _date_time),
            _string("json", "text that is JSON (RFC 8259)", _json),
            _string("ipv4", "an IPv4 address, four decimal numbers and dots", _ipv4),
            _string("ipv6", "an IPv6 address (RFC 4291), without zone", _ipv6),
            _string("mac", "a MAC address, six hex pairs with `:` or `-` between them", _mac),
            _string("uri", "a URI with its scheme (RFC 3986); also spelt `url`", _uri),
            _string("email", "an e-mail address (RFC 5321)", _email),
            _integer(32),
            INT64,
        )
    }
)
"""Every format by its name; `url` is another spelling of `uri` that compiled models no longer have."""
