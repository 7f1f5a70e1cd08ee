"""Whatever is written in a model file: problems with their places, never a traceback."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gluon.model.catalog import bundled_models_dir
from gluon.model.compiler import Compiled, compile_sources, model_from_document
from gluon.model.documents import Source
from gluon.model.formats import FORMATS
from gluon.model.language import PLACES, TYPES
from gluon.model.library import Library

LIBRARY = Library((bundled_models_dir(),))
SAMPLES = [path.read_text() for path in sorted(bundled_models_dir().glob("*/*.yaml"))]
NAMES = [
    "Port",
    "Interface",
    "Thing",
    "Other",
    "BasePort",
    "BaseInterface",
    "BaseService",
    "BaseServiceBinding",
]
WORDS = sorted(
    {
        *NAMES,
        *TYPES,
        *FORMATS,
        *(keyword for place in PLACES.values() for keyword in place),
        "base/base.yaml",
        "rule:admin",
        "id",
        "port_id",
        "status",
        "1.0",
        "on",
        "",
        "\u00e4",
        "\n",
        "x" * 50,
    }
)


def compiled(content: bytes) -> Compiled:
    result = compile_sources("acme", [Source("acme/api.yaml", content)], LIBRARY)
    assert (result.model is None) == bool(result.errors)
    for problem in result.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert problem.path.endswith(".yaml")
    if result.model is not None:
        assert model_from_document(json.loads(json.dumps(result.model.document))) == result.model
    return result


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    compiled(content)


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?<~ \n\t\\0123"), max_size=80))
def test_any_text_of_yamls_own_characters(text: str) -> None:
    compiled(text.encode())


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=8)
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=30,
)


@given(_values)
def test_any_structure_of_the_languages_words(value: Any) -> None:
    compiled(json.dumps(value).encode())


_types = st.sampled_from([*TYPES, *NAMES, "Gone"])
_attribute = st.fixed_dictionaries(
    {},
    optional={
        "type": _types,
        "primary": st.booleans(),
        "required": st.booleans(),
        "length": st.sampled_from([1, 255, 4000, 90_000]),
        "values": st.lists(st.sampled_from(["a", "b", "ACTIVE", "DOWN", "none"]), max_size=3),
        "format": st.sampled_from([*FORMATS, "url"]),
        "min": st.sampled_from([-1, 0, 1, 0.5]),
        "max": st.sampled_from([0, 5, 2**40]),
    },
)
_attribute_names = st.sampled_from(
    ["id", "uuid", "a", "b", "port_id", "service_id", "interface_id", "status"]
)
_api = st.fixed_dictionaries(
    {"name": st.sampled_from(["port", "thing", "other", "x"])},
    optional={
        "plural_name": st.sampled_from(["things", "docs", "status", "ports"]),
        "parent": st.sampled_from(NAMES),
        "parent_key": _attribute_names,
    },
)
_rules = st.sampled_from(["rule:admin", "rule:owner", "rule:amdin", "a:%(b)s", "@", ""])
_object = st.fixed_dictionaries(
    {},
    optional={
        "api": _api,
        "extends": st.sampled_from(NAMES),
        "attributes": st.dictionaries(_attribute_names, _attribute, max_size=4),
        "policies": st.dictionaries(
            st.sampled_from(sorted(PLACES["policies"])),
            st.one_of(_rules, st.builds(lambda r: {"role": r}, _rules)),
        ),
    },
)


@given(st.dictionaries(st.sampled_from([*NAMES, "A", "B"]), _object, max_size=6), st.booleans())
def test_any_objects(objects: dict[str, Any], imports: bool) -> None:
    file = {"file_version": "1.0", "info": {"name": "acme", "version": "1.0"}, "objects": objects}
    if imports:
        file["imports"] = "base/base.yaml"
    compiled(json.dumps(file).encode())


@given(st.sampled_from(SAMPLES), st.data())
def test_a_good_model_with_one_thing_changed(sample: str, data: st.DataObject) -> None:
    places = [match.span() for match in re.finditer(r"[^\s:]+|[:\s]", sample)]
    start, end = data.draw(st.sampled_from(places))
    replacement = data.draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=3)))
    changed = sample[:start] + replacement + sample[end:]
    compiled(changed.encode("utf-8", "surrogatepass"))
