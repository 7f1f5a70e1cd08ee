from __future__ import annotations

import shlex

import pytest

from gluon.particle.commands import command_descriptions
from gluon.particle.examples import example_body, example_value, examples
from gluon.particle.validators import ObjectValidator
from particle.made import everything, upstream


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test", "everything"])
def test_every_example_is_one_that_the_api_takes(service: str) -> None:
    model = everything() if service == "everything" else upstream(service)
    for api_object in model.objects.values():
        validator = ObjectValidator(api_object)
        assert validator.create(example_body(api_object))
        for attribute in api_object.attributes.values():
            assert attribute.name in validator.update({attribute.name: example_value(attribute)})


@pytest.mark.parametrize("service", ["net-l3vpn", "ietf-sfc", "test", "everything"])
def test_every_command_is_one_that_there_is(service: str) -> None:
    model = everything() if service == "everything" else upstream(service)
    commands = {command.name: command for command in command_descriptions(model)}
    for api_object in model.objects.values():
        for example in examples(model, api_object, "http://127.0.0.1:2705"):
            program, api, name, command, *rest = shlex.split(example.command)
            assert (program, api, name) == ("protonclient", "--api", service)
            flags = {flag for option in commands[command].options for flag in option.flags}
            given = {word.partition("=")[0] for word in rest if word.startswith("--")}
            assert given <= flags
            assert shlex.split(example.curl)[0] == "curl"
