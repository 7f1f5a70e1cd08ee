from __future__ import annotations

import time

import pytest

from gluon.model.documents import Kind, Mapping, Scalar, Sequence, Source, parse
from gluon.model.problems import Report


def parsed(content: str | bytes) -> tuple[Mapping | None, list[str]]:
    report = Report()
    data = content.encode() if isinstance(content, str) else content
    return parse(Source("a.yaml", data), report), [str(problem) for problem in report.problems]


def value(content: str, key: str) -> Scalar:
    root, problems = parsed(content)
    assert root is not None
    assert problems == []
    node = root.entries[key].value
    assert isinstance(node, Scalar)
    return node


def test_keys_and_values_know_their_line_and_column() -> None:
    root, _ = parsed("# first\na:\n  b: {c: x}\n")
    assert root is not None
    inner = root.entries["a"].value
    assert isinstance(inner, Mapping)
    flow = inner.entries["b"].value
    assert isinstance(flow, Mapping)
    entry = flow.entries["c"]
    assert (entry.key.position.line, entry.key.position.column) == (3, 7)
    assert (entry.value.position.line, entry.value.position.column) == (3, 10)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.10", Kind.NUMBER),
        ("1", Kind.INTEGER),
        ("1000:10", Kind.INTEGER),
        ("yes", Kind.BOOLEAN),
        ("Off", Kind.BOOLEAN),
        ("y", Kind.TEXT),
        ("2026-11-22", Kind.DATE),
        ("~", Kind.NULL),
        ("null", Kind.NULL),
        ("'1.10'", Kind.TEXT),
        ('"on"', Kind.TEXT),
        ("!!str 1.10", Kind.TEXT),
        ("plain", Kind.TEXT),
    ],
)
def test_a_scalar_keeps_its_text_and_what_yaml_takes_it_for(text: str, kind: Kind) -> None:
    scalar = value(f"a: {text}", "a")
    assert scalar.kind is kind
    assert scalar.text == text.removeprefix("!!str ").strip("'\"")


def test_duplicate_keys_are_errors() -> None:
    _, problems = parsed("a: 1\nb: 2\na: 3\n")
    assert problems == ["a.yaml:3:1: 'a' stands here twice; first at line 1"]


def test_an_alias_is_what_its_anchor_names_and_merge_keys_fill_in() -> None:
    root, problems = parsed("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: *x\n")
    assert problems == []
    assert root is not None
    b, c = root.entries["b"].value, root.entries["c"].value
    assert isinstance(b, Mapping)
    assert isinstance(c, Mapping)
    assert {e.key.text: e.value.text for e in b if isinstance(e.value, Scalar)} == {"p": "1", "q": "3"}
    assert set(c.entries) == {"p", "q"}


def test_a_list_of_mappings_is_merged_the_first_one_winning() -> None:
    root, problems = parsed("x: &x {p: 1}\ny: &y {p: 2, q: 2}\nz: {<<: [*x, *y]}\n")
    assert problems == []
    assert root is not None
    merged = root.entries["z"].value
    assert isinstance(merged, Mapping)
    assert [entry.value.text for entry in merged if isinstance(entry.value, Scalar)] == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a:\n\tb: 1", "a.yaml:2:1: not YAML: a tab; YAML indents with spaces"),
        ("a: @x", "a.yaml:1:4: not YAML: a text that starts with '@' must stand in quotes"),
        ("a: 1\n---\nb: 1", "a.yaml:2:1: a second YAML document ('---'); a model file holds one"),
        ("a: *x", "a.yaml:1:4: the alias *x names no anchor above it"),
        ("a: &x [*x]", "a.yaml:1:8: the alias *x stands inside what it names"),
        (
            "a: !python/object:os.system {}",
            "a.yaml:1:4: the tag '!python/object:os.system' means nothing in a",
        ),
        ("- a", "a.yaml:1:1: the file must hold a mapping with file_version, info and objects"),
        ("just text", "a.yaml:1:1: the file must hold a mapping"),
        ("[a]: b", "a.yaml:1:1: a key must be a plain word, not a list or mapping"),
        ("<<: 3", "a.yaml:1:5: '<<' merges a mapping or a list of mappings"),
        ("ok: 1\nbad: \x07", "a.yaml:2:6: not YAML: the character U+0007 may not stand in a file"),
        (b"a: b\nc: \xff", "a.yaml:2:4: the file is not UTF-8 text from here on"),
        ("", "a.yaml:1:1: the file is empty"),
        ("# only words", "a.yaml:1:1: the file is empty"),
    ],
)
def test_what_is_no_model_file_is_told_with_its_place(content: str | bytes, problem: str) -> None:
    _, problems = parsed(content)
    assert problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("a: b: c", "a text with ': ' in it must stand in quotes"),
        ("a:\n   b: 1\n  c: 2", "indented differently"),
        ('a: "open', "quoted scalar that starts at line 1"),
        ("a: [1, 2", "flow sequence that starts at line 1"),
    ],
)
def test_a_syntax_error_hints_at_the_usual_cause(content: str, hint: str) -> None:
    root, problems = parsed(content)
    assert root is None
    assert len(problems) == 1
    assert hint in problems[0]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    root, problems = parsed(b"\xef\xbb\xbfa: 1\n")
    assert problems == []
    assert root is not None
    assert list(root.entries) == ["a"]


def test_a_file_over_a_mebibyte_is_refused() -> None:
    root, problems = parsed("a: " + "x" * (1024 * 1024))
    assert root is None
    assert "at most 1048576 bytes" in problems[0]


def test_a_hundred_aliases_are_allowed_and_no_more() -> None:
    allowed, _ = parsed("a: &x 1\nb: [" + "*x, " * 100 + "]")
    assert allowed is not None
    refused, problems = parsed("a: &x 1\nb: [" + "*x, " * 101 + "]")
    assert refused is None
    assert "more than 100 aliases" in problems[0]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 500_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "&a [" * 200_000,
        "a: [" + "x, " * 340_000 + "]",
        "? " * 400_000,
        "\n".join(f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(10)),
    ],
    ids=["brackets", "braces", "dashes", "anchors", "wide", "complex keys", "aliases of aliases"],
)
def test_a_file_made_to_hurt_is_done_with_in_seconds(content: str) -> None:
    started = time.process_time()
    _, problems = parsed(content)
    assert time.process_time() - started < 10
    assert len(problems) <= 1


def test_nesting_ends_at_a_depth_that_no_model_has() -> None:
    _, problems = parsed("a: " + "[" * 30 + "]" * 30)
    assert problems == ["a.yaml:1:23: nested deeper than 20 levels"]


def test_a_list_keeps_its_items_in_order() -> None:
    root, _ = parsed("a: [x, y]")
    assert root is not None
    items = root.entries["a"].value
    assert isinstance(items, Sequence)
    assert [item.text for item in items.items if isinstance(item, Scalar)] == ["x", "y"]
