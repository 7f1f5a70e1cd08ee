"""Requests as a careless or a hostile client sends them: sound ones, changed in some place or in all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from gluon.model.model import Model

_SEGMENTS = (
    *("", ".", "..", "%2e%2e", "%00", "%ff", "%ED%A0%80", "%", "%zz", "a%2Fb", "x" * 3000, ";a=b", "*", "+"),
    *(
        "ü",
        "\u2028",
        "status",
        "docs",
        "openapi.json",
        "default",
        "bindings",
        "activate",
        "proton",
        "0",
        "-1",
    ),
    *("00000000-0000-0000-0000-000000000000", "{id}", "' or 1=1 --", "<script>", "null", "true", "%C3%A4"),
)
_TEXTS = (
    *("", "1", "-1", "0", "9" * 40, "1.5", "nan", "1e999", "true", "maybe", "asc", "desc", "desc,asc,desc"),
    *("name", "no_such_attribute", "name,name", ",", "id,", "%00", "%ff", "%ED%A0%80", "ü", "x" * 2000, "*"),
    *("a&b=c", "[]", '"', "'", "created_at", "2026-11-22", "00000000-0000-0000-0000-000000000000"),
)
_VALUES: tuple[Any, ...] = (
    *(None, "", True, 0, -1, 1.5, 2**63, -(2**63) - 1, 10**60, 1e308, [], {}, [None], {"a": {"b": []}}),
    *("x" * 300, "x" * 70000, "\x00", "ü", "𝄞", "null", "00000000-0000-0000-0000-000000000000", "one"),
)
_BODIES = (
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"1",
        b"{",
        b"}",
        b"{}{}",
        b"nul",
        b"NaN",
        b'{"a":NaN}',
        b"\xff",
    ),
    *(b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"name":"\xff"}', b'{"name":"\\ud800"}', b'{"\\udfff":1}'),
    *(b"[" * 50000, b'{"a":' * 50000, b"[" * 900 + b"]" * 900, b'{"int_num":' + b"1" * 9000 + b"}"),
    *(b'{"float_num":1e400}', b'{"float_num":-0.0,"float_num":1}', b'{"name":"\\u0000"}', b'{"":1}'),
    *(
        b'{"tests":null}',
        b'{"tests":[]}',
        b'{"tests":[[]]}',
        b'{"tests":{"tests":[]}}',
        b'{"tests":[],"x":1}',
    ),
    b"{" + b",".join(b'"k%d":1' % n for n in range(500)) + b"}",
)
_HEADERS = (
    *(
        ("Content-Type", v)
        for v in ("", "text/plain", "application/json; charset=x", ";", "\xff", "a/b, c/d")
    ),
    *(("If-Match", v) for v in ("*", '"1"', 'W/"1"', '"', '""', "1", ",", '"1", "2"', '"' + "9" * 99 + '"')),
    *(("If-None-Match", v) for v in ("*", '"1"', 'W/"1"', "\xff", ",,")),
    *(("Host", v) for v in ("", "a:b:c", "\xe4", "[::1", '"><script>', "a" * 3000)),
    *(("Content-Length", v) for v in ("-1", "+1", "abc", "", "9" * 40)),
    *(("Transfer-Encoding", v) for v in ("gzip", "chunked, chunked", "x")),
    *(("Content-Encoding", v) for v in ("gzip", "identity", "\xff")),
    *(("Accept", v) for v in ("text/html", ";;", "\xff")),
    *(("X-Forwarded-Host", "a\xe4"), ("X-Forwarded-Proto", "x"), ("Forwarded", "for=;"), ("Expect", "x")),
    *(
        ("Upgrade", "websocket"),
        ("Range", "bytes=9-1"),
        ("Cookie", "=;="),
        ("X-Http-Method-Override", "DELETE"),
    ),
)
_LIKELY = ("GET", "POST", "PUT", "PATCH", "DELETE")
_METHODS = (*_LIKELY, "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "NONE", "")


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """What goes over the wire."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@st.composite
def requests(draw: st.DrawFn, model: Model, keys: tuple[str, ...]) -> HostileRequest:
    """A request to the service of a model; `keys` are of objects that exist, of any type."""
    found = draw(st.sampled_from(list(model.objects.values())))
    segments = ["proton", model.service, model.version_id, found.plural]
    depth = draw(st.integers(0, 3))
    children = st.sampled_from([*(o.plural for o in model.objects.values()), "status"])
    segments += [draw(s) for s in (st.sampled_from(keys), children, st.sampled_from(keys))][:depth]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(segments)))
        segments[at : at + draw(st.integers(0, 1))] = [draw(st.sampled_from(_SEGMENTS))]
    names = [*found.attributes, "limit", "marker", "sort_key", "sort_dir", "fields", "cascade", "attr:name"]
    names += ["created_at", "start_revision", "dry_run", "%00", "", "ü"]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(_TEXTS)).map("=".join)
    query = draw(st.one_of(st.just([]), st.lists(pairs, max_size=3)))
    path = "/" + "/".join(segments) + ("?" + "&".join(query) if query else "")
    likely = st.sampled_from(_LIKELY)
    method = draw(st.one_of(likely, likely, st.sampled_from(_METHODS)))
    headers = dict(draw(st.lists(st.sampled_from(_HEADERS), max_size=2)))
    if method in ("GET", "HEAD", "DELETE") and draw(st.integers(0, 5)):
        return HostileRequest(method, path, headers)
    bodies = st.dictionaries(st.sampled_from([*found.attributes, "x"]), st.sampled_from(_VALUES), max_size=6)
    whole = bodies.map(lambda body: json.dumps(body).encode())
    many = st.lists(bodies, max_size=3).map(lambda all_: json.dumps({found.plural: all_}).encode())
    return HostileRequest(method, path, headers, draw(st.one_of(whole, many, st.sampled_from(_BODIES))))
