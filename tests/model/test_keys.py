from __future__ import annotations

from gluon.model.model import AttributeType
from model.written import compile_objects, model_of, only_error, thing


def test_an_object_without_a_primary_attribute_gets_a_uuid_first() -> None:
    made = thing(compile_objects("Thing: {api: {name: thing}, attributes: {a: {type: string}}}"))
    assert list(made.attributes) == ["uuid", "a"]
    assert made.key == "uuid"
    assert made.key_attribute.primary
    assert made.key_attribute.type is AttributeType.UUID
    assert made.unique_together == ()


def test_the_added_key_is_no_part_of_the_document() -> None:
    model = model_of(compile_objects("Thing: {api: {name: thing}}"))
    assert model.document["objects"]["Thing"]["attributes"] == {}


def test_one_primary_attribute_identifies_the_object() -> None:
    made = thing(
        compile_objects("Thing: {api: {name: thing}, attributes: {a: {type: string, primary: true}}}")
    )
    assert made.key == "a"
    assert made.unique_together == ()


def test_of_several_the_first_inherited_one_identifies_and_all_are_unique_together() -> None:
    made = thing(
        compile_objects("""
            Base: {attributes: {x: {type: string}, id: {type: uuid, primary: true}}}
            Thing:
              api: {name: thing}
              extends: Base
              attributes:
                b: {type: string, primary: true}
                x: {primary: true}
            """)
    )
    assert made.key == "id"
    assert made.unique_together == ("id", "b", "x")


def test_of_several_own_ones_the_first_declared_identifies() -> None:
    made = thing(
        compile_objects("""
            Base: {attributes: {x: {type: string}, y: {type: string}}}
            Thing:
              api: {name: thing}
              extends: Base
              attributes: {b: {type: uuid, primary: true}, x: {primary: true}}
            """)
    )
    assert made.key == "b"
    assert made.unique_together == ("b", "x")


def test_an_inherited_primary_can_be_taken_back() -> None:
    made = thing(
        compile_objects("""
            Base: {attributes: {id: {type: uuid, primary: true}}}
            Thing:
              api: {name: thing}
              extends: Base
              attributes: {id: {primary: false}, name: {type: string, primary: true}}
            """)
    )
    assert made.key == "name"


def test_only_a_plain_uuid_key_may_be_left_out_at_creation() -> None:
    objects = model_of(
        compile_objects("""
            A: {api: {name: a}, attributes: {id: {type: uuid, primary: true, required: true}}}
            B: {api: {name: b}, attributes: {name: {type: string, primary: true}}}
            C: {api: {name: c}, attributes: {a: {type: A, primary: true}}}
            """)
    ).objects
    assert not objects["A"].key_attribute.required
    assert objects["B"].key_attribute.required
    assert objects["C"].key_attribute.required


def test_an_attribute_uuid_that_is_not_primary_stands_in_the_way() -> None:
    compiled = compile_objects("Thing: {api: {name: thing}, attributes: {uuid: {type: uuid}}}")
    assert "Thing.uuid: the object has no primary attribute, so a key of this name is added" in only_error(
        compiled
    )


def test_keys_that_no_database_can_index_are_refused() -> None:
    compiled = compile_objects(
        "Thing: {api: {name: thing}, attributes: {a: {type: string, primary: true, length: 769}}}"
    )
    assert (
        "Thing.a: too long to identify an object: 3076 bytes of at most 3072; lower `length`"
        in only_error(compiled)
    )
