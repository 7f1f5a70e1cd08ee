"""Where the files of models are: reading a folder's files, and finding what a model imports."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gluon.model.documents import Source
from gluon.model.language import LARGEST_FILE

SUFFIXES = (".yaml", ".yml")


class ImportRefused(Exception):
    """An import that can't be read; the text says why.

    `is_missing` tells a file that is not there from one that may not be read.
    """

    def __init__(self, why: str, *, is_missing: bool = False) -> None:
        super().__init__(why)
        self.is_missing = is_missing


@dataclass(frozen=True, slots=True)
class Library:
    """The folders in which imports are looked up, in order; nothing outside them is ever read."""

    folders: tuple[Path, ...]

    def read(self, path: str) -> Source:
        """The imported file; raises ImportRefused."""
        parts = PurePosixPath(path).parts
        if not parts or path != path.strip() or "\\" in path or "\x00" in path:
            raise ImportRefused("write the path from the models directory, such as base/base.yaml")
        if PurePosixPath(path).is_absolute() or ".." in parts:
            raise ImportRefused(
                "imports are looked up in the models directory and among the bundled models, never outside "
                "them: no absolute path and no '..'"
            )
        outside = False
        for folder in self.folders:
            found = folder.joinpath(*parts)
            try:
                if not found.is_file():
                    continue
                if not found.resolve().is_relative_to(folder.resolve()):
                    outside = True
                    continue
                return read_file(found)
            except (OSError, RuntimeError, ValueError) as error:
                raise ImportRefused(f"can't be read: {error}") from error
        if outside:
            raise ImportRefused("is a link that leads out of the models directory")
        raise ImportRefused(
            "no such file in the models directory or among the bundled models", is_missing=True
        )

    def names(self) -> tuple[str, ...]:
        """Paths that can be imported, for suggestions: those one folder deep."""
        names: set[str] = set()
        for root in self.folders:
            # What can't be listed has nothing to suggest.
            with contextlib.suppress(OSError):
                for folder in subfolders(root):
                    names |= {f"{folder.name}/{file.name}" for file in model_files(folder)}
        return tuple(sorted(names))


def read_file(path: Path) -> Source:
    """A file's bytes, cut just past the size at which a model file is refused; raises OSError."""
    with path.open("rb") as file:
        return Source(str(path), file.read(LARGEST_FILE + 1))


def model_files(folder: Path) -> Sequence[Path]:
    """The YAML files directly in a folder, by name; hidden files (editors' copies) are none.

    Raises OSError.
    """
    entries = sorted(folder.iterdir())
    return [path for path in entries if path.suffix in SUFFIXES and path.name[0] != "." and path.is_file()]


def subfolders(folder: Path) -> Sequence[Path]:
    """The folders directly in a folder, by name, hidden ones left out; raises OSError."""
    entries = sorted(folder.iterdir())
    return [path for path in entries if path.name[0] not in "._" and path.is_dir()]
