"""The compiler: the files of one service in, one frozen `Model` out, or everything that is wrong.

    files ─ parse ─▶ trees ─ declare ─▶ declarations ─ merge, checks ─▶ document ─▶ Model

Each step goes on as far as what it has is sound, so that one reading of the problems is enough.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon.model.checks import check_model
from gluon.model.declarations import Declarations, ObjectDeclaration
from gluon.model.documents import Source
from gluon.model.inventory import Inventory
from gluon.model.language import (
    DEFAULT_LENGTH,
    FILE_VERSIONS,
    LONGEST_API_NAME,
    MOST_ATTRIBUTES,
    MOST_OBJECTS,
    PLACES,
    SERVICE_NAME,
    canonical_format,
)
from gluon.model.library import ImportRefused, Library
from gluon.model.model import Model
from gluon.model.problems import ModelError, Position, Problem, Report, quoted
from gluon.model.reading import ReadFile, read_files, read_source
from gluon.model.resolution import chain, inherited_attributes, merged_policies, model_from_document

__all__ = ["Compiled", "compile_files", "compile_read", "compile_sources", "model_from_document"]


# Along one chain of inheritance, where an attribute may be declared again to override it.
_MOST_DECLARED = 4 * MOST_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of a service's files: a model unless there are errors; warnings may stand beside it."""

    model: Model | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which there is no model."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def require(self) -> Model:
        """The model; raises ModelError with all problems if there is none."""
        if self.model is None:
            raise ModelError(self.problems)
        return self.model


def compile_files(
    service: str, files: Sequence[Path], lookup: Library, *, fragment: bool = False
) -> Compiled:
    """Compile the files of one version of a service; problems name the paths as given here.

    A `fragment` is a file that services import: it needs no `info` and no API objects, and gives no model.
    """
    return compile_read(service, read_files(files), lookup, fragment=fragment)


def compile_sources(service: str, sources: Sequence[Source], lookup: Library) -> Compiled:
    """Compile files whose bytes are at hand."""
    return compile_read(service, [read_source(source) for source in sources], lookup)


def compile_read(
    service: str, files: Sequence[ReadFile], lookup: Library, *, fragment: bool = False
) -> Compiled:
    """Compile files that have been read already (see `compile_files`)."""
    report = Report()
    document = _Merge(service, lookup, report, fragment).document(files)
    if report.has_errors or document is None:
        return Compiled(None, report.problems)
    return Compiled(model_from_document(document), report.problems)


class _Merge:
    """Merges the declarations of a service's files and of what they import into one document."""

    def __init__(self, service: str, lookup: Library, report: Report, fragment: bool) -> None:
        self._service = service
        self._lookup = lookup
        self._report = report
        self._fragment = fragment
        self._imported: list[Declarations] = []
        self._is_incomplete = False

    def document(self, files: Sequence[ReadFile]) -> dict[str, Any] | None:
        """The checked document; None where there is nothing that could be one."""
        own = [declared for file in files if (declared := self._declare(file)) is not None]
        start = Position(files[0].path if files else self._service)
        if not SERVICE_NAME.fullmatch(self._service) or len(self._service) > LONGEST_API_NAME:
            message = f"{quoted(self._service)} can't be a service's name: letters, digits, '.', '_' and '-'"
            self._report.error(start, f"{message}, at most {LONGEST_API_NAME}")
        self._import(own)
        info = self._info(own, start)
        self._file_version(own, start)
        objects = self._objects(own)
        if not self._is_incomplete and not self._fragment and not any(o.is_api for o in objects.values()):
            self._report.error(start, "no object has `api`, so the service would have nothing to serve")
        plain = self._plain(objects)
        if self._inherits_too_much(objects, plain):
            return None
        check_model(Inventory(objects, plain, is_incomplete=self._is_incomplete), self._report)
        if self._report.has_errors or self._fragment or info is None:
            return None
        return {
            "file_version": FILE_VERSIONS[0],
            "service": self._service,
            "info": info,
            "objects": self._complete(plain),
        }

    def _declare(self, file: ReadFile) -> Declarations | None:
        self._report.add(file.problems)
        if file.declarations is None:
            # What the file would have declared is unknown: names that are missed may be there.
            self._is_incomplete = True
        return file.declarations

    def _import(self, own: Sequence[Declarations]) -> None:
        """Read what the files import, and what that imports in turn; each file once."""
        pending: list[tuple[Declarations, tuple[str, ...]]] = [
            (declared, (os.path.realpath(declared.path),)) for declared in own
        ]
        loaded = {trail[0] for _, trail in pending}
        while pending:
            importer, trail = pending.pop(0)
            self._is_incomplete = self._is_incomplete or importer.lacks_imports
            for path, position in importer.imports:
                try:
                    source = self._lookup.read(path)
                except ImportRefused as refused:
                    near = self._report.suggest(path, self._lookup.names()) if refused.is_missing else ""
                    self._report.error(position, f"import {quoted(path)}: {refused}{near}")
                    self._is_incomplete = True
                    continue
                identity = os.path.realpath(source.path)
                if identity in trail:
                    files = (*trail[trail.index(identity) :], identity)
                    circle = " → ".join(str(Path(*Path(file).parts[-2:])) for file in files)
                    self._report.error(position, f"imports go in a circle: {circle}")
                elif identity not in loaded:
                    loaded.add(identity)
                    declared = self._declare(read_source(source))
                    if declared is not None:
                        self._imported.append(declared)
                        pending.append((declared, (*trail, identity)))

    def _info(self, own: Sequence[Declarations], start: Position) -> dict[str, Any] | None:
        with_info = [declared for declared in own if declared.info is not None]
        if not with_info:
            if not self._is_incomplete and not self._fragment:
                self._report.error(start, "info is missing: what the service is called, and in which version")
            return None
        first = with_info[0]
        for other in with_info[1:]:
            message = f"info stands here a second time; the first is in {first.path}"
            self._report.error(other.info_positions["info"], message)
        written = first.info or {}
        name = written.get("name")
        if name is not None and name != self._service and not self._fragment:
            message = (
                f"info.name is {quoted(name)}, but the service is called after its folder: {self._service}"
            )
            self._report.warning(first.info_positions["name"], message)
        spelt_out = {"name": self._service, "description": "", **written}
        info = {keyword: spelt_out[keyword] for keyword in PLACES["info"] if keyword in spelt_out}
        if "author" in info:
            author = info["author"]
            info["author"] = {keyword: author[keyword] for keyword in PLACES["author"] if keyword in author}
        return info

    def _file_version(self, own: Sequence[Declarations], start: Position) -> None:
        """One file that says the version is enough, be it an imported one."""
        if self._is_incomplete or self._fragment:
            return
        if not any(declared.file_version for declared in (*own, *self._imported)):
            self._report.error(start, f'file_version is missing: write file_version: "{FILE_VERSIONS[0]}"')

    def _objects(self, own: Sequence[Declarations]) -> dict[str, ObjectDeclaration]:
        """All objects by name: imported ones first, so that base objects stand before what extends them."""
        objects: dict[str, ObjectDeclaration] = {}
        for declared in (*self._imported, *own):
            for object_ in declared.objects:
                first = objects.get(object_.name)
                if first is not None:
                    where = f"{first.position.path}:{first.position.line}"
                    message = f"there is an object of this name already, at {where}"
                    self._report.error(object_.position, message, object_.name)
                elif len(objects) == MOST_OBJECTS:
                    self._report.error(object_.position, f"a model has at most {MOST_OBJECTS} objects")
                    return objects
                else:
                    objects[object_.name] = object_
        return objects

    def _inherits_too_much(self, objects: dict[str, ObjectDeclaration], plain: dict[str, Any]) -> bool:
        """Whether long chains of large base objects would take merging minutes; overrides count too."""
        for name, declared in objects.items():
            total = sum(len(plain[ancestor]["attributes"]) for ancestor in chain(plain, name))
            if total > _MOST_DECLARED:
                message = (
                    f"an object has at most {MOST_ATTRIBUTES} attributes; with what it inherits, {total} are"
                )
                self._report.error(declared.at("extends"), f"{message} declared for this one", name)
                return True
        return False

    def _plain(self, objects: dict[str, ObjectDeclaration]) -> dict[str, dict[str, Any]]:
        """The objects in the terms of the document, without defaults."""
        plain: dict[str, dict[str, Any]] = {}
        for name, declared in objects.items():
            values: dict[str, Any] = {}
            if declared.is_api:
                api = dict(declared.api)
                if "name" in api and "plural_name" not in api and "api.plural_name" not in declared.positions:
                    api["plural_name"] = api["name"] + "s"
                values["api"] = {keyword: api[keyword] for keyword in PLACES["api"] if keyword in api}
            if declared.extends is not None:
                values["extends"] = declared.extends
            values["attributes"] = {
                attribute.name: self._plain_attribute(attribute.values)
                for attribute in declared.attributes.values()
            }
            policies = declared.policies
            values["policies"] = {a: policies[a] for a in PLACES["policies"] if a in policies}
            plain[name] = values
        return plain

    def _plain_attribute(self, values: dict[str, Any]) -> dict[str, Any]:
        plain = {keyword: values[keyword] for keyword in PLACES["attribute"] if keyword in values}
        if "format" in plain:
            plain["format"] = canonical_format(plain["format"])
        if "values" in plain:
            plain["values"] = list(plain["values"])
        return plain

    def _complete(self, plain: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The checked objects with defaults spelt out where an attribute or a policy first appears."""
        complete: dict[str, dict[str, Any]] = {}
        for name, values in plain.items():
            inherited = inherited_attributes(plain, name)
            attributes = {}
            for attribute, own in values["attributes"].items():
                spelt = dict(own)
                if attribute not in inherited:
                    spelt = {"primary": False, "description": "", "required": False, **spelt}
                effective = {**inherited.get(attribute, {}), **spelt}
                if effective["type"] == "string" and "length" not in effective:
                    spelt["length"] = DEFAULT_LENGTH
                attributes[attribute] = {k: spelt[k] for k in PLACES["attribute"] if k in spelt}
            policies = merged_policies(plain, name) if "api" in values else values["policies"]
            inherited_policies = self._inherited_policies(plain, name)
            own_policies = {
                action: rule
                for action, rule in policies.items()
                if action in values["policies"] or action not in inherited_policies
            }
            complete[name] = {**values, "attributes": attributes, "policies": own_policies}
        return complete

    def _inherited_policies(self, plain: dict[str, dict[str, Any]], name: str) -> set[str]:
        found: set[str] = set()
        current = plain[name].get("extends")
        while current is not None:
            found |= plain[current]["policies"].keys()
            current = plain[current].get("extends")
        return found
