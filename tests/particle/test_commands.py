from __future__ import annotations

import pytest

from gluon.model.model import AttributeType
from gluon.particle.commands import Command, Option, Place, Verb, command_descriptions
from particle.made import everything, upstream


def commands(service: str) -> dict[str, Command]:
    model = everything() if service == "everything" else upstream(service)
    return {command.name: command for command in command_descriptions(model)}


def option(command: Command, name: str) -> Option:
    return next(o for o in command.options if o.name == name)


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test", "everything"])
def test_every_object_has_its_six_commands_with_all_attributes(service: str) -> None:
    model = everything() if service == "everything" else upstream(service)
    found = commands(service)
    assert list(found) == [f"{o.api_name}-{verb.value}" for o in model.objects.values() for verb in Verb]
    for api_object in model.objects.values():
        create = found[f"{api_object.api_name}-create"]
        assert [o.parameter for o in create.options] == [*api_object.attributes, "dry_run"]
        update = found[f"{api_object.api_name}-update"]
        assert [a.name for a in update.arguments] == [api_object.key]
        wanted = (set(api_object.attributes) | {"dry_run"}) - {api_object.key}
        assert {o.parameter for o in update.options} == wanted


def test_names_are_as_the_model_writes_them() -> None:
    assert "TestBinding-create" in commands("test")
    assert "sffdataplanelocator-list" in commands("ietf-sfc")


def test_no_two_options_of_a_command_share_a_flag() -> None:
    for command in command_descriptions(everything()):
        flags = [flag for o in command.options for flag in o.flags]
        assert len(flags) == len(set(flags)), command.name


def test_an_attribute_is_written_with_underscores_or_dashes() -> None:
    assert option(commands("net-l3vpn")["port-create"], "mac_address").flags == (
        "--mac_address",
        "--mac-address",
    )
    assert option(commands("net-l3vpn")["port-create"], "mtu").flags == ("--mtu",)


def test_what_the_api_calls_its_own_is_filtered_with_a_prefix() -> None:
    things = commands("everything")["thing-list"]
    assert option(things, "limit").kind is AttributeType.INTEGER
    assert option(things, "attr:limit").flags == ("--attr:limit",)
    assert option(things, "attr:fields").place is Place.QUERY
    assert option(commands("everything")["thing-create"], "limit").place is Place.BODY


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "True", True),
        ("flag", "1", True),
        ("flag", "false", False),
        ("count", "12", 12),
        ("any_number", "1.5", 1.5),
        ("any_number", "3", 3),
        ("small", "", None),
        ("name", "", ""),
        ("name", "12", "12"),
        ("colour", "red", "red"),
        ("numbered_ref", "7", 7),
        ("named_ref", "7", "7"),
    ],
)
def test_text_becomes_a_value_of_the_attribute_s_type(name: str, text: str, value: object) -> None:
    typed = option(commands("everything")["thing-create"], name).value(text)
    assert typed == value and type(typed) is type(value)


@pytest.mark.parametrize(("name", "text"), [("flag", "perhaps"), ("count", "1.0"), ("any_number", "much")])
def test_text_of_another_type_says_what_it_must_be(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        option(commands("everything")["thing-create"], name).value(text)


def test_a_filter_stays_text() -> None:
    assert option(commands("everything")["thing-list"], "count").value("12") == "12"


def test_help_says_what_a_value_is() -> None:
    thing = commands("everything")["thing-create"]
    assert option(thing, "id").help == "Key of the thing [uuid; made by the server if left out]"
    assert option(thing, "count").help == "[integer from 1 to 31; required]"
    assert option(thing, "colour").help == "[one of red, green, blue; required]"
    assert option(thing, "named_ref").help == "[string, key of a Named]"
    assert option(thing, "colour").choices == ("red", "green", "blue")
    assert option(commands("test")["TestBinding-create"], "service_id").help.endswith(
        "key of a TestService; required]"
    )
    assert option(commands("everything")["part-update"], "thing_id").help.endswith("fixed after creation]")


def test_delete_may_cascade() -> None:
    assert option(commands("net-l3vpn")["port-delete"], "cascade").is_flag
