from __future__ import annotations

import pytest

from model.written import compile_objects, errors, model_of, only_error

PARENT = "Rack: {api: {name: rack}, attributes: {name: {type: string, primary: true}}}\n"


def below(api: str, attributes: str = "rack: {type: Rack}") -> str:
    return PARENT + f"Slot: {{api: {{name: slot, {api}}}, attributes: {{{attributes}}}}}"


def test_the_plural_is_the_name_with_an_s_unless_it_is_written() -> None:
    model = model_of(
        compile_objects(
            "A: {api: {name: dog}}\nB: {api: {name: mouse, plural_name: mice}}\nC: {api: {name: x-y_z}}"
        )
    )
    assert [o.plural for o in model.objects.values()] == ["dogs", "mice", "x-y_zs"]
    assert model.by_plural["mice"].name == "B"


def test_name_and_plural_of_one_object_may_be_the_same() -> None:
    model = model_of(compile_objects("A: {api: {name: sheep, plural_name: sheep}}"))
    assert (model.objects["A"].api_name, model.objects["A"].plural) == ("sheep", "sheep")


def test_a_child_stands_below_its_parent() -> None:
    model = model_of(compile_objects(below("parent: Rack, parent_key: rack")))
    slot = model.objects["Slot"]
    assert (slot.parent, slot.parent_key) == ("Rack", "rack")
    assert model.children("Rack") == (slot,)


def test_a_plain_parent_key_of_the_same_type_refers_to_the_parent() -> None:
    model = model_of(compile_objects(below("parent: Rack, parent_key: rack", "rack: {type: string}")))
    assert model.objects["Slot"].attributes["rack"].refers_to == ("Rack",)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ("A: {api: {}}", "A: name is missing: the singular, for commands and policies"),
        ("A: {api: }", "A: name is missing"),
        ("A: {api: a}", "A: api must be a mapping"),
        ("A: {api: {nam: a}}", "A: 'nam' is no keyword of api (did you mean 'name'?)"),
        ("A: {api: {name: 1a}}", "A: '1a' can't be name: letters, digits, _ and -, a letter first"),
        ("A: {api: {name: a, plural_name: 'a b'}}", "A: 'a b' can't be plural_name"),
        ("A: {api: {name: 12}}", "A: name: YAML takes 12 for a number; put it in quotes: '12'"),
        ("A: {api: {name: doc}}", "A: plural_name can't be 'docs': the API has it already"),
        (f"A: {{api: {{name: {'a' * 65}, plural_name: b}}}}", "A: name has at most 64 characters"),
        (
            "A: {api: {name: a}}\nB: {api: {name: a, plural_name: b}}",
            "B: name 'a' is taken: it is the name of A",
        ),
        ("A: {api: {name: a}}\nB: {api: {name: as}}", "B: name 'as' is taken: it is the plural_name of A"),
        (
            below("parent: Rak, parent_key: rack"),
            "Slot: parent 'Rak' is no object of this model (did you mean 'Rack'?)",
        ),
        (
            below("parent: Rack"),
            "Slot: parent without parent_key: name the attribute that refers to Rack: parent_key: rack",
        ),
        (below("parent_key: rack"), "Slot: parent_key without parent"),
        (
            below("parent: Rack, parent_key: rac"),
            "Slot: parent_key 'rac' is no attribute of Slot (did you mean 'rack'?)",
        ),
        (
            below("parent: Rack, parent_key: rack", "rack: {type: boolean}"),
            "Slot.rack: is the parent_key, so it must refer to Rack: type: Rack",
        ),
        ("Base: {}\nA: {api: {name: a, parent: Base, parent_key: b}}", "A: parent Base is a base object"),
        (
            below("plural_name: status, parent: Rack, parent_key: rack"),
            "Slot: plural_name can't be 'status' below Rack: the API has it already",
        ),
    ],
)
def test_what_can_not_stand_in_a_url_is_refused(objects: str, message: str) -> None:
    assert message in only_error(compile_objects(objects))


def test_parents_in_a_circle_are_refused() -> None:
    compiled = compile_objects("""
        A: {api: {name: a, parent: B, parent_key: up}, attributes: {up: {type: B}}}
        B: {api: {name: b, parent: A, parent_key: up}, attributes: {up: {type: A}}}
        C: {api: {name: c, parent: C, parent_key: up}, attributes: {up: {type: C}}}
        """)
    found = errors(compiled)
    assert len(found) == 2
    assert "A: parents go in a circle: A → B → A" in found[0]
    assert "C: parents go in a circle: C → C" in found[1]


@pytest.mark.parametrize("name", ["string", "uuid", "enum"])
def test_an_object_can_not_be_called_like_a_type(name: str) -> None:
    compiled = compile_objects(f"{name}: {{}}\nThing: {{api: {{name: thing}}}}")
    assert f"{name} can't be the name of an object: it is the name of a type" in only_error(compiled)
