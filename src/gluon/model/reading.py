"""A model's file, read once: what it declares, and what is wrong with it by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gluon.model.declarations import Declarations
from gluon.model.declaring import declare
from gluon.model.documents import Source, parse
from gluon.model.library import read_file
from gluon.model.problems import Position, Problem, Report


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as far as it can be understood without the others."""

    path: str
    declarations: Declarations | None
    """None for a file that can't be read, or is in a later version of the language."""
    problems: tuple[Problem, ...]
    has_info: bool = False
    is_later: bool = False


def read_source(source: Source) -> ReadFile:
    """Parse a file and read its declarations."""
    report = Report()
    root = parse(source, report)
    if root is None:
        return ReadFile(source.path, None, report.problems)
    declared = declare(source.path, root, report)
    has_info = "info" in root.entries
    if declared.is_later:
        return ReadFile(source.path, None, report.problems, has_info, is_later=True)
    return ReadFile(source.path, declared, report.problems, has_info)


def read_files(paths: Iterable[Path]) -> list[ReadFile]:
    """Read files from disk; one that can't be read is a problem of its own."""
    files = []
    for path in paths:
        try:
            files.append(read_source(read_file(path)))
        except OSError as error:
            report = Report()
            report.error(Position(str(path)), f"can't be read: {error.strerror or error}")
            files.append(ReadFile(str(path), None, report.problems))
    return files


@dataclass(frozen=True, slots=True)
class Look:
    """What the files of a folder are, before they are compiled."""

    has_info: bool
    has_api_objects: bool
    is_broken: bool
    """Whether a file can't be read, so that nobody knows what it has."""
    info_name: str | None
    """The service's name as `info` has it, where it does."""


def look_at(files: Sequence[ReadFile]) -> Look:
    """Whether these files together are a service."""
    declared = [file.declarations for file in files if file.declarations is not None]
    names = [declarations.info.get("name") for declarations in declared if declarations.info is not None]
    return Look(
        has_info=any(file.has_info for file in files),
        has_api_objects=any(object_.is_api for declarations in declared for object_ in declarations.objects),
        is_broken=any(file.declarations is None and not file.is_later for file in files),
        info_name=next((name for name in names if name is not None), None),
    )
