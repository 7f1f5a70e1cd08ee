"""Models written in a test: compiled from text, with the bundled base objects to import."""

from __future__ import annotations

import textwrap

from gluon.model.catalog import bundled_models_dir
from gluon.model.compiler import Compiled, compile_sources
from gluon.model.documents import Source
from gluon.model.library import Library
from gluon.model.model import ApiObject, Model

PATH = "acme/api.yaml"
HEAD = """\
file_version: "1.0"
info: {name: acme, version: "1.0"}
"""


def compile_text(*texts: str, library: Library | None = None) -> Compiled:
    """Compile a service `acme` from whole files."""
    paths = [PATH, *(f"acme/more-{number}.yaml" for number in range(1, len(texts)))]
    sources = [Source(path, textwrap.dedent(text).encode()) for path, text in zip(paths, texts, strict=True)]
    return compile_sources("acme", sources, library or Library((bundled_models_dir(),)))


def compile_objects(objects: str) -> Compiled:
    """Compile a service `acme` with these objects; they stand from the fourth line of its file on."""
    return compile_text(HEAD + "objects:\n" + textwrap.indent(textwrap.dedent(objects).lstrip("\n"), "  "))


def compile_attribute(attribute: str) -> Compiled:
    """Compile a Thing with an attribute `it` that is written as YAML's flow style has it: `{type: uuid}`."""
    return compile_objects(f"Thing: {{api: {{name: thing}}, attributes: {{it: {attribute}}}}}")


def model_of(compiled: Compiled) -> Model:
    """The model, which must be there without a warning."""
    assert [str(problem) for problem in compiled.problems] == []
    return compiled.require()


def thing(compiled: Compiled) -> ApiObject:
    """The object Thing of a model that must be sound."""
    return model_of(compiled).objects["Thing"]


def errors(compiled: Compiled) -> list[str]:
    """What the errors say, as people see them."""
    assert compiled.model is None
    return [str(problem) for problem in compiled.errors]


def only_error(compiled: Compiled) -> str:
    """What the one error says."""
    found = errors(compiled)
    assert len(found) == 1, found
    return found[0]


def warnings(compiled: Compiled) -> list[str]:
    """What the warnings of a sound model say."""
    assert not compiled.errors, [str(problem) for problem in compiled.errors]
    return [str(problem) for problem in compiled.problems]
