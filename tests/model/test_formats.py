from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluon.model.formats import FORMATS, canonical_uuid

RIGHT = {
    "date-time": [
        "2026-11-22T03:41:00Z",
        "1985-04-12T23:20:50.52z",
        "1990-12-31t23:59:60Z",
        "1937-01-01T12:00:27.87+00:20",
        "0000-02-29T00:00:00-23:59",
    ],
    "json": ["{}", "[1, 2.5e999, null]", '"text"', " true ", "1" * 5000, '{"a": {"b": "\\ud83d"}}'],
    "ipv4": ["0.0.0.0", "192.0.2.1", "255.255.255.255"],
    "ipv6": ["::", "2001:db8::1", "::ffff:192.0.2.1", "FE80::1"],
    "mac": ["c8:2a:14:04:43:80", "C8-2A-14-04-43-80"],
    "uri": [
        "https://example.org/a?b=c#d",
        "urn:isbn:0451450523",
        "mailto:a@example.org",
        "http://[::1]:80/%20",
    ],
    "email": ["noc@example.org", "a.b+c@host", "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]"],
    "int32": ["0", "-2147483648", "2147483647"],
    "int64": ["-9223372036854775808", "+9223372036854775807"],
}
WRONG = {
    "date-time": [
        "",
        "2026-11-22",
        "2026-11-22T03:41:00",
        "2026-11-22 03:41:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T03:41:61Z",
        "2026-11-22T03:41:00+24:00",
        "2026-11-22T03:41:00Z\n",
        "\u0662\u0660\u0662\u0666-11-22T03:41:00Z",
    ],
    "json": ["", "{", "NaN", "{'a': 1}", "[1,]", "nul", "[" * 100_000],
    "ipv4": ["", "192.0.2", "192.0.2.256", "192.0.02.1", "1.2.3.4\n", "\u0661.2.3.4", "192.0.2.1/24"],
    "ipv6": ["", "192.0.2.1", ":::", "fe80::1%eth0", "2001:db8::1/64"],
    "mac": [
        "",
        "c8:2a:14:04:43",
        "c8:2a-14:04:43:80",
        "c82a14044380",
        "c8:2a:14:04:43:8g",
        "c8:2a:14:04:43:80\n",
    ],
    "uri": ["", "example.org", "//example.org", "http://a b", "http://x/%zz", "1http://x", "http://x/\u00e4"],
    "email": ["", "noc", "@example.org", "noc@", "a b@c", "a@b@c", ".a@b", "a@-b", "a@b..c", "a@[300.0.0.1]"],
    "int32": ["", "2147483648", "-2147483649", "1.0", "1e3", " 1", "0x1"],
    "int64": ["9223372036854775808", "9" * 5000],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in RIGHT for text in RIGHT[name]])
def test_text_of_the_format_is_taken(name: str, text: str) -> None:
    assert FORMATS[name].check(text) is None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in WRONG for text in WRONG[name]])
def test_other_text_is_refused_with_a_reason(name: str, text: str) -> None:
    assert FORMATS[name].check(text)


def test_every_format_is_tested_here() -> None:
    assert set(RIGHT) == set(WRONG) == set(FORMATS)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(FORMATS)), text=st.text())
def test_no_text_makes_a_format_fail(name: str, text: str) -> None:
    reason = FORMATS[name].check(text)
    assert reason is None or reason


@settings(deadline=None)
@given(st.uuids())
def test_every_spelling_of_a_uuid_has_one_canonical_form(value: object) -> None:
    canonical = str(value)
    for text in (canonical, canonical.upper(), canonical.replace("-", "")):
        assert canonical_uuid(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a868a466-bca84df18404a77db0ecac72",
        "{a868a466-bca8-4df1-8404-a77db0ecac72}",
        "x" * 32,
        "\uff10" * 32,
    ],
)
def test_what_is_no_uuid_has_none(text: str) -> None:
    assert canonical_uuid(text) is None
