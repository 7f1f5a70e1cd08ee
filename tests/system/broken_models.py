"""Texts that somebody might take for a model: mutated models, odd YAML, and bytes that are nothing."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import strategies as st

from gluon.model.language import PLACES
from system.made_models import models

_KEYWORDS = sorted({keyword for place in PLACES.values() for keyword in place})
_ODD: tuple[Any, ...] = (
    *(None, "", [], {}, [[]], {"": {}}, True, 0, -1, 1.5, 10**400, 1e308, float("inf"), float("nan")),
    *("Thing", "uuid", "string", "enum", "int", "Base", "BasePort", "rule:", "role:", "(", "not", "http://x"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "base/base.yaml",
        "api.yaml",
        "\x00",
        "\ud800",
        "ü" * 50,
        "x" * 5000,
    ),
    *(["a", "a"], [None], {"role": {"role": "x"}}, {"type": "string"}, {"name": "x", "name ": "y"}),
)
_SNIPPETS = (
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "!!python/object:os.system ",
        "!!binary ",
        "? ",
        "| ",
    ),
    *(
        "---\n",
        "...\n",
        "\t",
        "\x00",
        "\x85",
        "%YAML 9.9\n",
        "'",
        '"',
        "#",
        "\n  ",
        "2026-11-22",
        "0o7",
        ".inf",
    ),
    *("\ufeff", "\u2028", "🧪", "&a [*a]", "!<tag:x> ", "1_000", "190:20:30", "=", "~"),
)


def texts() -> st.SearchStrategy[bytes]:
    """Content of a file `api.yaml`."""
    return st.one_of(
        _mutated_trees().map(_dumped),
        _mutated_texts(),
        _trees().map(_dumped),
        st.binary(max_size=200),
    )


def _dumped(tree: Any) -> bytes:
    try:
        return yaml.dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return repr(tree).encode("utf-8", "surrogatepass")


def _trees() -> st.SearchStrategy[Any]:
    leaves = st.sampled_from(_ODD)
    keys = st.sampled_from([*_KEYWORDS, "Thing", "Base", "a"])
    return st.recursive(
        leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5))
    )


@st.composite
def _mutated_trees(draw: st.DrawFn) -> Any:
    tree = copy.deepcopy(draw(models()))
    for _ in range(draw(st.integers(1, 4))):
        _mutate(draw, tree)
    return tree


def _mutate(draw: st.DrawFn, tree: dict[Any, Any]) -> None:
    """Change one place: another value, another key, a key less, or one more."""
    place: Any = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
            place = inner
            continue
        change = draw(st.sampled_from(["value", "key", "less"]))
        if change == "less":
            del place[key]
        elif change == "key" and isinstance(place, dict):
            new = draw(st.sampled_from([*_KEYWORDS, "a", "Thing", 1, True, None, "x" * 49, "ü", "a b", ""]))
            place[new] = place.pop(key)
        else:
            place[key] = draw(st.one_of(st.sampled_from(_ODD), st.just(tree.get("objects"))))
        return
    if isinstance(place, dict):
        place[draw(st.sampled_from(_KEYWORDS))] = draw(st.sampled_from(_ODD))


@st.composite
def _mutated_texts(draw: st.DrawFn) -> bytes:
    text = yaml.safe_dump(draw(models()), sort_keys=False, allow_unicode=True)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from([0, 0, 1, 3, 40]))
        text = text[:at] + draw(st.sampled_from(["", *_SNIPPETS])) + text[at + cut :]
    return text.encode("utf-8", "surrogatepass")
