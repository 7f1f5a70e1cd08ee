"""The services on disk: which folders hold models, in which versions, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gluon.model.compiler import Compiled, compile_read
from gluon.model.library import Library, model_files, subfolders
from gluon.model.model import Model
from gluon.model.problems import Problem
from gluon.model.reading import look_at, read_files


def bundled_models_dir() -> Path:
    """The folder with the models that come with Gluon."""
    return Path(__file__).parent.parent / "models"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What was found. A broken version is missing from `services`; `problems` says what is wrong with it."""

    services: Mapping[str, tuple[Model, ...]]
    """Each service's versions, the oldest first."""
    problems: Mapping[str, tuple[Problem, ...]]
    """Errors and warnings by service, those of services that have no sound version included."""

    def newest(self, service: str) -> Model:
        """The newest version of a service; raises KeyError for a service that is not there."""
        return self.services[service][-1]


def load_catalog(models_dir: Path | None, *, bundled: bool = True) -> Catalog:
    """Compile every model of a folder, and those that come with Gluon.

    A service in `models_dir` takes the place of a bundled one of the same name, all versions together.
    Never raises for what is in the folders; a `models_dir` that can't be read is a problem of no service
    (under the name '').
    """
    services: dict[str, tuple[Model, ...]] = {}
    problems: dict[str, tuple[Problem, ...]] = {}
    roots = ([models_dir] if models_dir is not None else []) + ([bundled_models_dir()] if bundled else [])
    for root in roots:
        library = library_of(root)
        try:
            folders = subfolders(root)
        except OSError as error:
            problems[""] = (_unreadable(root, error),)
            continue
        for folder in folders:
            if folder.name in problems:
                continue
            service = load_service(folder, library)
            if service is not None:
                problems[folder.name] = service.problems
                if service.models:
                    services[folder.name] = service.models
    found = {name: found for name, found in problems.items() if found}
    return Catalog(MappingProxyType(services), MappingProxyType(found))


def library_of(models_dir: Path) -> Library:
    """Where the models of a folder look up their imports: there, then among the bundled models."""
    return Library((models_dir, bundled_models_dir()))


@dataclass(frozen=True, slots=True)
class Service:
    """A service's folder, compiled: its sound versions, the oldest first, and all problems."""

    name: str
    models: tuple[Model, ...]
    problems: tuple[Problem, ...]


def load_service(folder: Path, library: Library) -> Service | None:
    """Compile a service's folder and the versions in its sub-folders; None for a folder that is no service.

    A folder is a service if one of its files has `info`, or if a sub-folder's has. Files that can't be
    read at all may have it too, so they make a service, with a problem.
    """
    name = folder.name
    compiled: list[tuple[Path, Compiled]] = []
    problems: list[Problem] = []
    pending = [folder]
    while pending:
        part = pending.pop(0)
        try:
            files = model_files(part)
            if part is folder:
                pending += subfolders(folder)
        except OSError as error:
            problems.append(_unreadable(part, error))
            continue
        if not files:
            continue
        read = read_files(files)
        look = look_at(read)
        if look.has_info or look.is_broken:
            compiled.append((part, compile_read(name, read, library)))
        elif look.has_api_objects:
            message = "has objects with an API but no info, so this folder is not served"
            problems.append(Problem(str(files[0]), 1, 1, None, None, message, "warning"))
    if not compiled and not problems:
        return None
    models: dict[str, Model] = {}
    for part, result in compiled:
        problems += result.problems
        if result.model is None:
            continue
        version = result.model.version
        if version in models:
            message = f"version {version} of {name} stands in another folder already"
            problems.append(Problem(str(part), 1, 1, None, None, message))
        else:
            models[version] = result.model
    ordered = tuple(models[version] for version in sorted(models, key=version_order))
    return Service(name, ordered, tuple(problems))


def _unreadable(folder: Path, error: OSError) -> Problem:
    message = f"the folder can't be read: {error.strerror or error}"
    return Problem(str(folder), 1, 1, None, None, message)


def version_order(version: str) -> tuple[Any, ...]:
    """Sorts versions as people count them: 1.2 before 1.10, 1.0-beta before 1.0."""
    parts = re.findall(r"[0-9]+|[A-Za-z]+", version)
    # A letter part sorts before the end of the version, the end before any further number.
    return (*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, ""))
