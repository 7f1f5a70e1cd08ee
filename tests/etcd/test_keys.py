from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluon.etcd.keys import Keys, ParsedKey, segment

_KEYS = Keys()


def test_keys_of_the_contract() -> None:
    assert _KEYS.object("net-l3vpn", "VpnPort", "p1") == "/proton/net-l3vpn/VpnPort/p1"
    assert _KEYS.port("p1") == "/gluon/port/p1"
    assert _KEYS.model("net-l3vpn", "1.0") == "/gluon/models/net-l3vpn/1.0"
    assert _KEYS.relay() == "/gluon/relay"
    assert _KEYS.server("s1") == "/gluon/servers/s1"
    assert _KEYS.controller("c1") == "/gluon/controllers/c1"
    assert _KEYS.claim("net-l3vpn", "p1", "h1") == "/gluon/claims/net-l3vpn/p1/h1"
    assert _KEYS.answer("net-l3vpn", "Port", "p1") == "/controller/net-l3vpn/Port/p1"
    assert _KEYS.answer("net-l3vpn", "Port", "p1", "h1") == "/controller/net-l3vpn/Port/p1/h1"
    assert _KEYS.status("net-l3vpn", "Vpn", "v1", "c1") == "/status/net-l3vpn/Vpn/v1/c1"


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        (_KEYS.objects(), _KEYS.object("s", "O", "k")),
        (_KEYS.objects("s"), _KEYS.object("s", "O", "k")),
        (_KEYS.objects("s", "O"), _KEYS.object("s", "O", "k")),
        (_KEYS.ports(), _KEYS.port("p")),
        (_KEYS.models(), _KEYS.model("s", "1.0")),
        (_KEYS.servers(), _KEYS.server("s")),
        (_KEYS.controllers(), _KEYS.controller("c")),
        (_KEYS.claims(), _KEYS.claim("s", "p", "h")),
        (_KEYS.claims("s"), _KEYS.claim("s", "p", "h")),
        (_KEYS.claims("s", "p"), _KEYS.claim("s", "p", "h")),
        (_KEYS.answers(), _KEYS.answer("s", "Port", "p")),
        (_KEYS.statuses(), _KEYS.status("s", "O", "k", "c")),
        (_KEYS.statuses("s", "O", "k"), _KEYS.status("s", "O", "k", "c")),
    ],
)
def test_a_prefix_holds_its_keys_and_none_of_a_longer_name(prefix: str, key: str) -> None:
    assert key.startswith(prefix)
    assert prefix.endswith("/")


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("10.0.0.0/8", "10.0.0.0%2F8"),
        ("a:b@c", "a:b@c"),
        ("100%", "100%25"),
        ("ä b", "%C3%A4%20b"),
        ("a-._~!$&'()*+,;=", "a-._~!$&'()*+,;="),
    ],
)
def test_a_segment_encodes_what_rfc_3986_does_not_allow_in_one(text: str, encoded: str) -> None:
    assert segment(text) == encoded


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_whatever_goes_into_a_key_comes_out_of_it(name: str, key: str) -> None:
    keys = Keys("/site-a")

    parsed = keys.parse(keys.object("service", name, key))

    assert parsed == ParsedKey("proton", ("service", name, key))


@pytest.mark.parametrize("key", ["/site-b/proton/s/O/k", "/site-abc/proton/s/O/k", "/proton/s/O/k"])
def test_a_key_of_another_prefix_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="/site-a"):
        Keys("/site-a").parse(key)
