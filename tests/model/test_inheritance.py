from __future__ import annotations

from gluon.model.model import AttributeType
from model.written import compile_objects, errors, model_of, only_error, thing

BASES = """
Root:
  attributes:
    id: {type: uuid, primary: true}
    note: {type: string, length: 64, required: true, description: a note}
  policies: {create: 'rule:admin', get: '@'}
Middle:
  extends: Root
  attributes:
    extra: {type: integer, min: 1}
    note: {description: a better note}
  policies: {get: {role: 'rule:owner'}}
Other: {api: {name: other}}
"""


def test_inherited_attributes_come_first_in_declared_order() -> None:
    compiled = compile_objects(
        BASES + "Thing: {extends: Middle, api: {name: thing}, attributes: {own: {type: uuid}, id: {}}}"
    )
    assert list(thing(compiled).attributes) == ["id", "note", "extra", "own"]


def test_an_override_of_the_type_alone_keeps_what_else_was_inherited() -> None:
    compiled = compile_objects(
        BASES + "Thing: {extends: Middle, api: {name: thing}, attributes: {note: {type: Other}}}"
    )
    note = thing(compiled).attributes["note"]
    assert note.required
    assert note.description == "a better note"
    assert note.type is AttributeType.REFERENCE


def test_what_means_nothing_for_the_new_type_is_gone() -> None:
    compiled = compile_objects(
        BASES + "Thing: {extends: Middle, api: {name: thing}, attributes: {note: {type: boolean}}}"
    )
    assert thing(compiled).attributes["note"].length is None


def test_a_string_made_of_another_type_has_the_default_length() -> None:
    compiled = compile_objects(
        BASES + "Thing: {extends: Middle, api: {name: thing}, attributes: {extra: {type: string}}}"
    )
    extra = thing(compiled).attributes["extra"]
    assert (extra.length, extra.minimum) == (255, None)


def test_policies_are_inherited_action_by_action_and_the_rest_is_the_default() -> None:
    compiled = compile_objects(
        BASES + "Thing: {extends: Middle, api: {name: thing}, policies: {update: 'role:a'}}"
    )
    assert dict(thing(compiled).policies) == {
        "create": "rule:admin",
        "delete": "rule:default",
        "list": "rule:default",
        "get": "rule:owner",
        "update": "role:a",
    }


def test_base_objects_are_not_served() -> None:
    compiled = compile_objects(BASES + "Thing: {extends: Middle, api: {name: thing}}")
    assert list(model_of(compiled).objects) == ["Other", "Thing"]


def test_an_inherited_enum_must_not_repeat_its_values() -> None:
    compiled = compile_objects("""
        Base: {attributes: {it: {type: enum, values: [a, b]}}}
        Thing: {extends: Base, api: {name: thing}, attributes: {it: {required: true}}}
        """)
    assert thing(compiled).attributes["it"].values == ("a", "b")


def test_what_is_wrong_in_a_base_object_is_told_there_and_once() -> None:
    compiled = compile_objects("""
        Base: {attributes: {it: {type: enum}}}
        Thing: {extends: Base, api: {name: thing}}
        More: {extends: Base, api: {name: more}}
        """)
    assert only_error(compiled).startswith("acme/api.yaml:4:34: Base.it: an enum needs")


def test_an_unknown_base_object_is_told_with_the_nearest_name() -> None:
    compiled = compile_objects(BASES + "Thing: {extends: Midle, api: {name: thing}, attributes: {note: {}}}")
    assert "Thing: extends 'Midle', which no file declares (did you mean 'Middle'?)" in only_error(compiled)


def test_a_model_without_base_objects_is_asked_for_an_import() -> None:
    compiled = compile_objects("Thing: {extends: BaseObject, api: {name: thing}}")
    assert "which no file declares; is an import missing?" in only_error(compiled)


def test_only_base_objects_are_extended() -> None:
    compiled = compile_objects("A: {api: {name: a}}\nThing: {extends: A, api: {name: thing}}")
    assert "Thing: extends A, which has an API; only base objects" in only_error(compiled)


def test_a_circle_of_base_objects_is_told_once() -> None:
    compiled = compile_objects("""
        A: {extends: B}
        B: {extends: C}
        C: {extends: A}
        D: {extends: B}
        Self: {extends: Self}
        Thing: {extends: D, api: {name: thing}}
        """)
    found = errors(compiled)
    assert len(found) == 2
    assert "A: extends goes in a circle: A → B → C → A" in found[0]
    assert "Self: extends itself" in found[1]
