"""A controller's answer, from its value in etcd to the attributes of the port."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluon.particle.tables import BindState
from gluon.proton.answer import Answer, MalformedAnswer, parse_answer


def answer(**fields: Any) -> Answer:
    return parse_answer(json.dumps({"bind_id": "b-1", "controller": "odl", **fields}).encode())


def test_a_vif_makes_the_port_active() -> None:
    taken = answer(vif_type="ovs", vif_details={"port_filter": False, "bridge_name": "br-gluon"})
    assert taken.state is BindState.ANSWERED
    assert taken.changes == {
        "vif_type": "ovs",
        "vif_details": '{"port_filter":false,"bridge_name":"br-gluon"}',
        "status": "ACTIVE",
    }


def test_details_that_are_json_text_already_stay_as_they_are() -> None:
    assert answer(vif_type="ovs", vif_details='{ "a": 1 }').vif_details == '{ "a": 1 }'


def test_details_may_be_left_out() -> None:
    assert answer(vif_type="vhostuser").vif_details is None


@pytest.mark.parametrize("fields", [{"rejected": "no such bridge"}, {"vif_type": "binding_failed"}])
def test_a_refusal_makes_the_port_say_binding_failed(fields: dict[str, Any]) -> None:
    refused = answer(**fields)
    assert refused.state is BindState.REFUSED
    assert refused.changes == {"vif_type": "binding_failed", "vif_details": None, "status": "DOWN"}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"bind_id": "b", "controller": "c"}',
        b'{"vif_type": "ovs", "controller": "c"}',
        b'{"bind_id": 7, "vif_type": "ovs"}',
        b'{"bind_id": "b", "vif_type": ""}',
        b'{"bind_id": "b", "vif_type": "o\\u0000vs"}',
        b'{"bind_id": "b", "vif_type": "ovs", "vif_details": []}',
        b'{"bind_id": "b", "vif_type": "ovs", "vif_details": "no json"}',
        b'{"bind_id": "b", "vif_type": "ovs", "vif_details": {"x": "' + b"x" * 70_000 + b'"}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_says_why(value: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_answer(value)


texts = st.text("ab{}é\0\ud800", max_size=6)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["bind_id", "controller", "vif_type", "vif_details", "rejected", "other"])


@given(st.binary(max_size=60) | st.dictionaries(names, anything).map(lambda d: json.dumps(d).encode()))
def test_any_value_is_an_answer_or_malformed(value: bytes) -> None:
    try:
        taken = parse_answer(value)
    except MalformedAnswer:
        return
    assert taken.vif_details is None or isinstance(json.loads(taken.vif_details), dict)
