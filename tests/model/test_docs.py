"""docs/models.md must explain the whole language: each keyword, type, format, rule, limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gluon.model import language
from gluon.model.formats import FORMATS
from gluon.model.language import BASE_ROLES, PLACES, TYPES
from gluon.model.rules import BASE_RULES
from model.written import compile_text, model_of

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TEXT = PAGE.read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match, f"docs/models.md has no section {title!r}"
    return match.group(2)


SECTIONS = {
    "file": "The file",
    "info": "The file",
    "author": "The file",
    "object": "Objects",
    "api": "Objects",
    "attribute": "Attributes",
    "policies": "Policies",
    "policy": "Policies",
}


@pytest.mark.parametrize(
    ("place", "keyword"), [(place, keyword) for place in PLACES for keyword in PLACES[place]]
)
def test_every_keyword_is_explained_in_its_section(place: str, keyword: str) -> None:
    assert f"`{keyword}`" in section(SECTIONS[place])


@pytest.mark.parametrize("name", [*TYPES, *FORMATS])
def test_every_type_and_format_is_explained(name: str) -> None:
    assert f"`{name}`" in section("Attributes")


@pytest.mark.parametrize("name", BASE_RULES)
def test_every_base_rule_is_explained(name: str) -> None:
    assert f"`{name}`" in section("Policies")


@pytest.mark.parametrize("name", BASE_ROLES)
def test_every_role_is_explained(name: str) -> None:
    assert f"`{name}`" in section("Binding")


@pytest.mark.parametrize(
    "name",
    sorted(
        language.RESERVED_ATTRIBUTES
        | language.RESERVED_PORT_ATTRIBUTES
        | language.RESERVED_CHILD_PLURALS
        | language.RESERVED_PORT_CHILD_PLURALS
        | {"docs"}
    ),
)
def test_every_reserved_name_is_named(name: str) -> None:
    assert f"`{name}`" in section("Names and limits")


@pytest.mark.parametrize(
    "limit",
    [
        language.MOST_OBJECTS,
        language.MOST_ALIASES,
        language.MOST_ATTRIBUTES,
        language.LONGEST_NAME,
        language.LONGEST_API_NAME,
        language.LARGEST_STORED_OBJECT // 1024,
        language.LARGEST_FILE // 1024**2,
    ],
)
def test_every_limit_is_named(limit: int) -> None:
    assert re.search(rf"\b{limit:,}\b", section("Names and limits"))


def test_the_example_of_the_page_is_a_sound_model() -> None:
    example = re.search(r"^```yaml\n(file_version.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert example
    model = model_of(compile_text(example.group(1).replace("name: e-tree", "name: acme")))
    assert model.port is not None


def test_the_page_has_no_keyword_that_the_language_lacks() -> None:
    known = {*(keyword for place in PLACES.values() for keyword in place)}
    for title in set(SECTIONS.values()):
        for keyword in re.findall(r"^\| `([a-z_]+)` \|", section(title), re.MULTILINE):
            assert keyword in known | {*TYPES, *FORMATS, *BASE_RULES}
