from __future__ import annotations

import pytest

from gluon.model.model import Attribute, AttributeType
from model.written import compile_attribute, compile_objects, errors, only_error, thing, warnings


def it(attribute: str) -> Attribute:
    return thing(compile_attribute(attribute)).attributes["it"]


@pytest.mark.parametrize("name", ["integer", "number", "string", "boolean", "uuid"])
def test_a_type_is_named_by_its_word(name: str) -> None:
    assert it(f"{{type: {name}}}").type is AttributeType(name)
    assert it(f"{{type: '{name}'}}").value_type is AttributeType(name)


def test_nothing_is_required_or_primary_by_itself() -> None:
    attribute = it("{type: string}")
    assert (attribute.required, attribute.primary, attribute.description) == (False, False, "")


def test_a_string_has_255_characters_unless_it_says_otherwise() -> None:
    assert it("{type: string}").length == 255
    assert it("{type: string, length: 16}").length == 16


def test_an_enum_has_its_values_in_order() -> None:
    assert it("{type: enum, values: [b, 'on', a]}").values == ("b", "on", "a")


def test_url_is_another_spelling_of_uri() -> None:
    assert it("{type: string, format: url}").format == "uri"


def test_integers_and_numbers_have_bounds() -> None:
    integer = it("{type: integer, format: int32, min: -1, max: 0x7f}".replace("0x7f", "127"))
    assert (integer.format, integer.minimum, integer.maximum) == ("int32", -1, 127)
    number = it("{type: number, min: 0.5, max: 1e3}")
    assert (number.minimum, number.maximum) == (0.5, 1000)


def test_a_description_is_taken_as_it_is_written() -> None:
    assert it("{type: uuid, description: 802.1}").description == "802.1"
    assert it("{type: uuid, description: 2026-11-22}").description == "2026-11-22"
    assert it("{type: uuid, description: no}").description == "no"


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (
            "{}",
            "type is missing: one of integer, number, string, boolean, uuid, enum, the name of an API object",
        ),
        ("uuid", "write the type as a line below: `type: uuid`"),
        ("3", "it must be a mapping (`key: value` lines below it), not a number ('3')"),
        ("{type: Strng}", "'Strng' is neither a type nor an object (did you mean 'string'?)"),
        ("{type: int}", "'int' is neither a type nor an object (did you mean 'integer'?)"),
        ("{type: ipv4}", "(did you mean 'string' with format: ipv4?)"),
        ("{type: Thingy}", "'Thingy' is neither a type nor an object (did you mean 'Thing'?)"),
        ("{type: Qqq}", "'Qqq' is neither a type nor an object; types are integer, number"),
        ("{type: [uuid]}", "type must be a single word, not a list"),
        ("{type: null}", "type: YAML takes null for nothing"),
        ("{type:  }", "type is empty"),
        ("{type: uuid, requird: true}", "'requird' is no keyword of an attribute (did you mean 'required'?)"),
        (
            "{type: uuid, foo: true}",
            "'foo' is no keyword of an attribute; there are type, primary, description",
        ),
        ("{type: uuid, required: 'true'}", "required must be true or false without quotes"),
        ("{type: uuid, required: maybe}", "required must be true or false, not 'maybe'"),
        ("{type: uuid, required: 1}", "required must be true or false, not a number ('1')"),
        ("{type: string, length: '5'}", "length must be a number without quotes"),
        ("{type: string, length: 0}", "length must be at least 1"),
        ("{type: string, length: 1.5}", "length must be a whole number, not a number ('1.5')"),
        ("{type: string, length: 010}", "length must be in decimal digits, without a leading 0"),
        ("{type: string, length: 1:30}", "length must be in decimal digits"),
        ("{type: string, length: many}", "length must be a whole number, not 'many'"),
        ("{type: string, format: ipv}", "there is no format 'ipv' (did you mean 'ipv"),
        ("{type: string, format: qqq}", "there is no format 'qqq'; there are date-time, json"),
        (
            "{type: string, format: int32}",
            "format int32 is for integers, not for type string, which has date-time",
        ),
        (
            "{type: integer, format: ipv4}",
            "format ipv4 is for strings, not for type integer, which has int32, int64",
        ),
        ("{type: number, format: int32}", "format does not go with type number; only strings and integers"),
        (
            "{type: string, min: 1}",
            "min does not go with type string; only integers and numbers have min and max",
        ),
        ("{type: string, values: [a]}", "values does not go with type string; only `type: enum` has values"),
        ("{type: enum}", "an enum needs `values`, a list of texts"),
        ("{type: enum, values: []}", "values must name at least one value"),
        ("{type: enum, values: a}", "values must be a list, not 'a'"),
        ("{type: enum, values: [a, a]}", "the value 'a' stands here twice"),
        ("{type: enum, values: [a, yes]}", "YAML takes yes for true or false; put it in quotes: 'yes'"),
        ("{type: enum, values: [a, 1]}", "YAML takes 1 for a number; put it in quotes: '1'"),
        ("{type: enum, values: [a, '']}", "one of the values is empty"),
        ("{type: enum, values: [a, {b: c}]}", "each of the values must be a single word, not a mapping"),
        ("{type: integer, min: 5, max: 1}", "min 5 is greater than max 1"),
        ("{type: integer, min: 0.5}", "min of an integer must be a whole number"),
        ("{type: integer, format: int32, max: 2147483648}", "max must be from -2147483648 to 2147483647"),
        ("{type: integer, max: 9223372036854775808}", "max must be from -9223372036854775808"),
        ("{type: number, min: .nan}", "min must be a number"),
        ("{type: number, max: 1e999}", "max must be a number"),
    ],
)
def test_a_wrong_attribute_is_told_once_and_where_it_stands(attribute: str, message: str) -> None:
    error = only_error(compile_attribute(attribute))
    assert error.startswith("acme/api.yaml:4:")
    assert ": Thing.it: " in error
    assert message in error


def test_the_place_is_that_of_the_value() -> None:
    compiled = compile_objects("""
        Thing:
          api: {name: thing}
          attributes:
            it:
              type: strin
        """)
    assert only_error(compiled).startswith("acme/api.yaml:8:15: Thing.it: 'strin'")


def test_every_error_of_an_attribute_is_told_at_once() -> None:
    found = errors(compile_attribute("{type: integer, format: int23, values: [a], required: maybe, x: y}"))
    assert [error.split(": Thing.it: ")[1].split(" ")[0] for error in found] == [
        "there",
        "values",
        "required",
        "'x'",
    ]


def test_a_length_beside_a_uuid_or_an_enum_is_only_a_warning() -> None:
    found = warnings(compile_attribute("{type: uuid, length: 36}"))
    assert found == ["acme/api.yaml:4:69: Thing.it: length means nothing for type uuid"]


@pytest.mark.parametrize("name", ["created_at", "updated_at", "revision_number"])
def test_names_of_the_server_are_taken(name: str) -> None:
    compiled = compile_objects(f"Thing: {{api: {{name: thing}}, attributes: {{{name}: {{type: string}}}}}}")
    assert f"Thing.{name}: the name is taken by what the server itself writes" in only_error(compiled)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1st", "'1st' can't be the name of an attribute: letters, digits and _, no digit first"),
        ("7", "7 can't be the name of an attribute"),
        ("a-b", "'a-b' can't be the name of an attribute"),
        ("'a b'", "'a b' can't be the name of an attribute"),
        ("\u00e4", "can't be the name of an attribute"),
        ("on", "the name of an attribute: YAML takes on for true or false; put it in quotes: 'on'"),
        ("a" * 49, "the name of an attribute has at most 48 characters"),
    ],
)
def test_a_name_that_can_be_none_is_refused(name: str, message: str) -> None:
    compiled = compile_objects(f"Thing: {{api: {{name: thing}}, attributes: {{{name}: {{type: string}}}}}}")
    assert message in only_error(compiled)


def test_a_quoted_name_of_48_characters_is_taken() -> None:
    for name in ("'on'", "a" * 48, "_A9"):
        compiled = compile_objects(
            f"Thing: {{api: {{name: thing}}, attributes: {{{name}: {{type: string}}}}}}"
        )
        assert name.strip("'") in thing(compiled).attributes
