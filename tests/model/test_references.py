from __future__ import annotations

import pytest

from gluon.model.model import AttributeType
from model.written import compile_objects, errors, model_of, only_error, warnings


def test_a_reference_has_the_values_of_the_key_at_the_end_of_the_chain() -> None:
    objects = model_of(
        compile_objects("""
            A: {api: {name: a}, attributes: {ip: {type: string, primary: true, length: 16, format: ipv4}}}
            B: {api: {name: b}, attributes: {a: {type: A, primary: true}}}
            C: {api: {name: c}, attributes: {b: {type: B, required: true, description: which b}}}
            """)
    ).objects
    reference = objects["C"].attributes["b"]
    assert reference.type is AttributeType.REFERENCE
    assert reference.target == "B"
    assert reference.refers_to == ("B",)
    assert reference.value_type is AttributeType.STRING
    assert (reference.length, reference.format) == (16, "ipv4")
    assert (reference.required, reference.description) == (True, "which b")


def test_a_reference_to_an_integer_or_enum_key_carries_its_bounds_and_values() -> None:
    objects = model_of(
        compile_objects("""
            A: {api: {name: a}, attributes: {n: {type: integer, primary: true, format: int32, min: 1}}}
            B: {api: {name: b}, attributes: {e: {type: enum, primary: true, values: [x, y]}}}
            C: {api: {name: c}, attributes: {a: {type: A}, b: {type: B}}}
            """)
    ).objects
    a, b = objects["C"].attributes["a"], objects["C"].attributes["b"]
    assert (a.value_type, a.format, a.minimum, a.maximum) == (AttributeType.INTEGER, "int32", 1, None)
    assert (b.value_type, b.values) == (AttributeType.ENUM, ("x", "y"))


def test_a_reference_to_an_object_with_an_added_key_is_a_uuid() -> None:
    objects = model_of(
        compile_objects("A: {api: {name: a}}\nB: {api: {name: b}, attributes: {a: {type: A}}}")
    ).objects
    assert objects["B"].attributes["a"].value_type is AttributeType.UUID


def test_who_refers_to_an_object_is_known() -> None:
    model = model_of(
        compile_objects("A: {api: {name: a}}\nB: {api: {name: b}, attributes: {x: {type: A}, y: {type: A}}}")
    )
    assert [(o.name, a.name) for o, a in model.referrers("A")] == [("B", "x"), ("B", "y")]


def test_a_base_object_may_refer_to_an_api_object_of_the_model() -> None:
    model = model_of(
        compile_objects("""
            Base: {attributes: {a: {type: A}}}
            A: {api: {name: a}}
            B: {api: {name: b}, extends: Base}
            """)
    )
    assert model.objects["B"].attributes["a"].refers_to == ("A",)


def test_base_objects_can_not_be_referred_to() -> None:
    compiled = compile_objects("""
        Base: {}
        A: {api: {name: a}, extends: Base}
        B: {api: {name: b}, attributes: {it: {type: Base}}}
        """)
    message = "B.it: type Base is a base object; only API objects (with `api`) can be referred to"
    assert f"{message} (did you mean 'A'?)" in only_error(compiled)


@pytest.mark.parametrize("names", ["AB", "ABC"])
def test_keys_that_refer_to_each_other_in_a_circle_are_refused(names: str) -> None:
    following = names[1:] + names[0]
    compiled = compile_objects(
        "\n".join(
            f"{name}: {{api: {{name: x{name}}}, attributes: {{it: {{type: {after}, primary: true}}}}}}"
            for name, after in zip(names, following, strict=True)
        )
    )
    shown = " → ".join((*names, names[0]))
    assert f"A.it: identifying keys refer to each other in a circle: {shown}" in errors(compiled)[0]
    assert len(errors(compiled)) == 1


def test_an_object_may_refer_to_its_own_kind() -> None:
    model = model_of(compile_objects("Node: {api: {name: node}, attributes: {above: {type: Node}}}"))
    assert model.objects["Node"].attributes["above"].value_type is AttributeType.UUID


def test_objects_that_need_each_other_at_creation_are_warned_of() -> None:
    found = warnings(
        compile_objects("""
            A: {api: {name: a}, attributes: {b: {type: B, required: true}}}
            B: {api: {name: b}, attributes: {a: {type: A, required: true}}}
            C: {api: {name: c}, attributes: {a: {type: A, required: true}}}
            """)
    )
    assert len(found) == 3
    assert "A.b: no A can be created first: it requires a B, which in the end requires a A" in found[0]
    assert "C.a: no C can be created: it requires a A, and none of those can be" in found[2]
