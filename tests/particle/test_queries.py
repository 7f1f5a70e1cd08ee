from __future__ import annotations

import pytest

from gluon.particle.queries import QUERY_NAMES, filter_name, filtered_attribute


@pytest.mark.parametrize("attribute", [*sorted(QUERY_NAMES), "name", "limits"])
def test_every_attribute_can_be_filtered_by(attribute: str) -> None:
    assert filtered_attribute(filter_name(attribute)) == attribute


def test_names_of_the_api_win() -> None:
    assert filtered_attribute("limit") is None
    assert filter_name("limit") == "attr:limit"
    assert filter_name("name") == "name"


def test_the_prefix_is_allowed_where_it_is_not_needed() -> None:
    assert filtered_attribute("attr:name") == "name"
