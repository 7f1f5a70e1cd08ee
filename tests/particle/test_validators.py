from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluon.particle.validators import FieldError, InvalidBody, ObjectValidator, server_makes_key
from particle.made import DASHED, TENANT, a_port, a_thing, everything, upstream


@pytest.fixture
def things() -> ObjectValidator:
    return ObjectValidator(everything().objects["Thing"])


@pytest.fixture
def ports() -> ObjectValidator:
    return ObjectValidator(upstream("net-l3vpn").objects["Port"])


def wrong(call: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(InvalidBody) as caught:
        call(*args, **kwargs)
    return {error.field: error.message for error in caught.value.errors}


def test_an_object_has_every_attribute_in_declared_order(things: ObjectValidator) -> None:
    made = things.create(a_thing())
    assert list(made) == list(everything().objects["Thing"].attributes)
    assert made["label"] == "" and made["name"] is None and made["id"] is None


def test_a_change_has_what_is_given_and_nothing_else(things: ObjectValidator) -> None:
    assert things.update({"name": "x", "wide": None}) == {"name": "x", "wide": None}
    assert things.update({}) == {}


def test_all_wrong_fields_are_named_at_once(things: ObjectValidator) -> None:
    body = a_thing(count=32, colour="Red", labell="x", flag=1, created_at="now", any_number="1")
    del body["must_mac"]
    assert wrong(things.create, body) == {
        "count": "must be an integer from 1 to 31",
        "any_number": "must be a number, not a string",
        "flag": "must be true or false, not an integer",
        "colour": "must be one of red, green, blue; did you mean red?",
        "must_mac": "is required",
        "labell": "unknown attribute; did you mean label?",
        "created_at": "is set by the server, so leave it out",
    }


def test_errors_come_in_declared_order_and_unknown_attributes_last(things: ObjectValidator) -> None:
    with pytest.raises(InvalidBody) as caught:
        things.update({"nonsense_of_mine": 1, "flag": 1, "count": 0})
    assert [e.field for e in caught.value.errors] == ["count", "flag", "nonsense_of_mine"]
    assert caught.value.errors[2] == FieldError("nonsense_of_mine", "unknown attribute")


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
def test_a_body_is_an_object(things: ObjectValidator, body: Any) -> None:
    assert wrong(things.create, body) == {"": "must be a JSON object"}
    assert wrong(things.update, body) == {"": "must be a JSON object"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", True),
        ("count", 1.0),
        ("count", "1"),
        ("count", 0),
        ("small", 2**31),
        ("wide", 2**63),
        ("wide", -(2**63) - 1),
        ("atleast", 9),
        ("ratio", 1.6),
        ("ratio", -0.1),
        ("any_number", True),
        ("any_number", float("nan")),
        ("any_number", float("inf")),
        ("any_number", 2**53 + 1),
        ("any_number", 10**400),
        ("flag", 0),
        ("flag", "true"),
        ("colour", ""),
        ("colour", 1),
        ("name", "123456789"),
        ("name", "a\0b"),
        ("name", "\ud800"),
        ("name", 5),
        ("plain_uuid", "{" + DASHED + "}"),
        ("plain_uuid", DASHED + "\n"),
        ("plain_uuid", 7),
        ("mac", "c8:2a"),
        ("must_mac", ""),
        ("v4", "10.0.0.256"),
        ("v6", "10.0.0.1"),
        ("when", "yesterday"),
        ("blob", "{"),
        ("blob", {}),
        ("link", "no uri"),
        ("mail", "nobody"),
        ("named_ref", "x" * 21),
        ("must_ref", ""),
        ("must_ref", "thing"),
        ("numbered_ref", "7"),
        ("label", "x" * 256),
        ("label", None),
    ],
)
def test_a_value_that_the_attribute_cannot_have_is_refused(
    things: ObjectValidator, name: str, value: Any
) -> None:
    assert list(wrong(things.create, a_thing(**{name: value}))) == [name]
    assert list(wrong(things.update, {name: value})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 31),
        ("small", -(2**31)),
        ("wide", 2**63 - 1),
        ("wide", -(2**63)),
        ("ratio", 1.5),
        ("any_number", -1e308),
        ("name", "ü🙂345678"),
        ("label", ""),
        ("plain_uuid", TENANT.upper()),
        ("plain_uuid", DASHED.upper()),
        ("mac", "C8:2A:14:04:43:80"),
        ("v6", "2001:DB8:0::1"),
        ("blob", ' { "a" : 1.0 } '),
        ("when", "2026-11-22T04:15:36.50+01:00"),
        ("named_ref", "a/b ü"),
        ("numbered_ref", 7),
    ],
)
def test_values_stay_as_given(things: ObjectValidator, name: str, value: Any) -> None:
    stored = things.create(a_thing(**{name: value}))[name]
    assert stored == value and type(stored) is type(value)


def test_a_number_is_a_float_whatever_its_spelling(things: ObjectValidator) -> None:
    for given_value, stored in ((3, 3.0), (2**53, 2.0**53), (-0.0, 0.0)):
        value = things.update({"any_number": given_value})["any_number"]
        assert repr(value) == repr(stored)


@pytest.mark.parametrize("spelling", [TENANT, TENANT.upper(), DASHED, DASHED.upper()])
def test_uuid_keys_and_references_to_them_have_one_spelling(things: ObjectValidator, spelling: str) -> None:
    made = things.create(a_thing(id=spelling, must_ref=spelling, plain_uuid=spelling, tenant_id=spelling))
    assert (made["id"], made["must_ref"]) == (DASHED, DASHED)
    assert (made["plain_uuid"], made["tenant_id"]) == (spelling, spelling)
    assert things.key_from_path(spelling) == DASHED


def test_plain_uuids_that_refer_have_one_spelling_too() -> None:
    bindings = ObjectValidator(upstream("test").objects["TestBinding"])
    made = bindings.create({"tenant_id": TENANT, "interface_id": TENANT.upper(), "service_id": TENANT})
    assert (made["interface_id"], made["service_id"]) == (DASHED, DASHED)


@pytest.mark.parametrize(
    "name",
    ["shade", "plain_uuid", "mac", "v4", "v6", "when", "blob", "link", "mail", "named_ref", "numbered_ref"],
)
def test_an_empty_string_is_null_where_text_has_a_form(things: ObjectValidator, name: str) -> None:
    assert things.create(a_thing(**{name: ""}))[name] is None
    assert things.update({name: ""}) == {name: None}


def test_an_empty_string_is_itself_in_a_plain_string(things: ObjectValidator) -> None:
    assert things.update({"name": "", "label": ""}) == {"name": "", "label": ""}


@pytest.mark.parametrize("key", ["", ".", "..", "x" * 21, None, "a\0", 4])
def test_a_string_key_is_fit_for_a_path(key: Any) -> None:
    assert "title" in wrong(ObjectValidator(everything().objects["Named"]).create, {"title": key})


def test_a_key_other_than_a_uuid_is_required() -> None:
    assert wrong(ObjectValidator(everything().objects["Named"]).create, {}) == {"title": "is required"}
    assert wrong(ObjectValidator(everything().objects["Numbered"]).create, {}) == {"number": "is required"}


def test_a_uuid_key_may_be_left_out_unless_it_refers_to_another_object() -> None:
    assert server_makes_key(everything().objects["Thing"])
    binding = upstream("test").objects["TestBinding"]
    assert not server_makes_key(binding)
    assert wrong(ObjectValidator(binding).create, {"tenant_id": TENANT, "service_id": TENANT}) == {
        "interface_id": "is required"
    }


def test_a_key_is_never_cleared(things: ObjectValidator) -> None:
    assert list(wrong(things.update, {"id": None})) == ["id"]
    assert list(wrong(things.update, {"id": ""})) == ["id"]
    assert things.create(a_thing(id=None))["id"] is None


@pytest.mark.parametrize(
    "body", [{"slot": 1}, {"slot": 1, "thing_id": TENANT.upper()}, {"slot": 1, "thing_id": None}]
)
def test_the_parent_in_the_path_fills_its_attribute(body: dict[str, Any]) -> None:
    parts = ObjectValidator(everything().objects["Part"])
    assert parts.create(body, parent_key=DASHED)["thing_id"] == DASHED


def test_a_body_may_not_contradict_the_parent_in_the_path() -> None:
    parts = ObjectValidator(everything().objects["Part"])
    other = "0d9c1f52-3a7e-4c53-8f43-6f1b6c0f9a10"
    assert wrong(parts.create, {"slot": "x", "thing_id": other}, parent_key=DASHED) == {
        "thing_id": "differs from the Thing in the URL",
        "slot": "must be an integer, not a string",
    }
    assert list(wrong(parts.create, {"slot": 1, "thing_id": "no"}, parent_key=DASHED)) == ["thing_id"]
    assert wrong(parts.create, {"slot": 1}) == {"thing_id": "is required"}


def test_a_whole_document_may_come_back(things: ObjectValidator) -> None:
    shown = things.create(a_thing(id=DASHED)) | {
        "created_at": "2026-11-22T04:15:36Z",
        "updated_at": None,
        "revision_number": 3,
    }
    assert things.update(shown) == shown
    assert set(shown) - set(everything().objects["Thing"].attributes) == ObjectValidator.server_fields


def test_long_texts_of_ports_are_taken_whatever_the_model_says(ports: ObjectValidator) -> None:
    details = json.dumps({"x": "y" * 60_000})
    made = ports.create(a_port(profile=details, vif_details=details, host_id="h" * 255))
    assert made["profile"] == details and made["host_id"] == "h" * 255
    too_long = json.dumps({"x": "ü" * 33_000}, ensure_ascii=False)
    assert wrong(ports.create, a_port(profile=too_long, host_id="h" * 256, name="n" * 65)) == {
        "name": "must have at most 64 characters (this has 65)",
        "profile": f"must have at most 64 KiB (this has {len(too_long)} characters)",
        "host_id": "must have at most 255 characters (this has 256)",
    }


def test_json_that_is_nested_too_deep_is_an_error_like_any_other(ports: ObjectValidator) -> None:
    assert list(wrong(ports.create, a_port(profile="[" * 60_000))) == ["profile"]


def test_a_made_up_name_can_be_printed(things: ObjectValidator) -> None:
    errors = wrong(things.update, {"\ud800": 1, "n" * 1000: 2})
    assert all(name.encode() and len(name) <= 101 for name in errors)


def test_a_flood_of_unknown_attributes_is_counted_not_listed(things: ObjectValidator) -> None:
    errors = wrong(things.update, {f"x{n}": 1 for n in range(100_000)})
    assert len(errors) == 51
    assert errors[""] == "99950 more attributes are unknown"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "", ""),
        ("name", "5", "5"),
        ("wide", "-12", -12),
        ("count", "99", 99),
        ("wide", "", None),
        ("any_number", "2", 2.0),
        ("any_number", "1e3", 1000.0),
        ("flag", "True", True),
        ("maybe", "0", False),
        ("maybe", "", None),
        ("colour", "red", "red"),
        ("shade", "", None),
        ("must_ref", TENANT, DASHED),
        ("plain_uuid", TENANT, TENANT),
        ("v4", "not an address", "not an address"),
        ("numbered_ref", "7", 7),
    ],
)
def test_a_query_gives_typed_values(things: ObjectValidator, name: str, text: str, value: Any) -> None:
    parsed = things.parse_query(name, text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wide", "1.0"),
        ("wide", "1_000"),
        ("wide", "٣"),
        ("wide", str(2**63)),
        ("wide", "9" * 5000),
        ("any_number", "nan"),
        ("any_number", "1e999"),
        ("flag", "maybe"),
        ("colour", "purple"),
        ("plain_uuid", "x"),
        ("name", "a\0"),
        ("nam", "x"),
    ],
)
def test_a_query_of_the_wrong_type_is_refused(things: ObjectValidator, name: str, text: str) -> None:
    assert list(wrong(things.parse_query, name, text)) == [name]


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 21, "\0"])
def test_a_path_that_no_key_can_have_names_nothing(text: str) -> None:
    assert ObjectValidator(everything().objects["Named"]).key_from_path(text) is None


def test_a_path_gives_the_key_in_its_type(things: ObjectValidator) -> None:
    numbered = ObjectValidator(everything().objects["Numbered"])
    assert numbered.key_from_path("7") == 7
    assert numbered.key_from_path("seven") is None
    assert numbered.key_from_path("0") is None
    assert things.key_from_path("seven") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_sent_is_taken_or_refused_by_name(data: st.DataObject) -> None:
    api_object = everything().objects["Thing"]
    names = st.sampled_from([*api_object.attributes, "unknown", "revision_number"])
    body = data.draw(st.dictionaries(names, json_values))
    validator = ObjectValidator(api_object)
    for call in (validator.create, validator.update):
        try:
            accepted = call(body)
        except InvalidBody as error:
            assert error.errors
            json.dumps([[e.field, e.message] for e in error.errors], ensure_ascii=False).encode()
        else:
            json.dumps(accepted, allow_nan=False, ensure_ascii=False).encode()
            assert validator.update(accepted | {"id": DASHED}) == accepted | {"id": DASHED}
