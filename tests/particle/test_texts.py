from __future__ import annotations

import pytest

from gluon.model.model import AttributeType
from gluon.particle.texts import text_of_key, value_from_text


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (AttributeType.STRING, "a/b ü"),
        (AttributeType.STRING, "7"),
        (AttributeType.INTEGER, -7),
        (AttributeType.NUMBER, 2.5),
        (AttributeType.NUMBER, 1e300),
        (AttributeType.BOOLEAN, True),
        (AttributeType.BOOLEAN, False),
        (AttributeType.ENUM, "red"),
    ],
)
def test_a_key_comes_back_from_its_text(kind: AttributeType, key: str | float | bool) -> None:
    value = value_from_text(kind, text_of_key(key))
    assert value == key and type(value) is type(key)


@pytest.mark.parametrize("kind", [k for k in AttributeType if k is not AttributeType.STRING])
def test_an_empty_text_is_null_but_for_strings(kind: AttributeType) -> None:
    assert value_from_text(kind, "") is None
    assert value_from_text(AttributeType.STRING, "") == ""
