"""Checking models by hand: what a file, a folder or a name stands for, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gluon.model.catalog import (
    Service,
    bundled_models_dir,
    library_of,
    load_catalog,
    load_service,
)
from gluon.model.compiler import compile_read
from gluon.model.library import Library, model_files, subfolders
from gluon.model.model import Model
from gluon.model.problems import Problem, nearest_spelling
from gluon.model.reading import look_at, read_files


class NothingToCheck(Exception):
    """The target names no model; the text says why, and what there is."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked: the sound models, and the problems of all."""

    models: tuple[Model, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which something would not be served."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def check_target(target: str, models_dir: Path | None = None) -> Checked:
    """Check a file, a service's folder, a models directory, or a service by its name.

    Names are looked up in `models_dir` and then among the bundled models, as the server does; `models_dir`
    is also where a file or folder looks up its imports, instead of in the folder around the service's.
    Raises NothingToCheck.
    """
    path = Path(target).absolute()
    try:
        if path.is_file():
            return _check_file(path, models_dir)
        if path.is_dir():
            return _check_folder(path, models_dir)
    except (OSError, ValueError) as error:
        raise NothingToCheck(f"{target} can't be read: {error}") from error
    return _check_name(target, models_dir)


def _check_name(name: str, models_dir: Path | None) -> Checked:
    catalog = load_catalog(models_dir)
    known = sorted({*catalog.services, *catalog.problems} - {""})
    if name not in known:
        near = nearest_spelling(name, known)
        hint = f"did you mean {near!r}?" if near else f"services are {', '.join(known) or 'none'}"
        raise NothingToCheck(f"{name!r} is no file, no folder and no service; {hint}")
    return Checked(catalog.services.get(name, ()), catalog.problems.get(name, ()))


def _check_file(file: Path, models_dir: Path | None) -> Checked:
    """A file with all files of its folder if they are one model, else for itself."""
    siblings = model_files(file.parent)
    together = [path for path in siblings if look_at(read_files([path])).has_info]
    files = siblings if len(together) == 1 and file in siblings else [file]
    return _check_files(file.parent, files, models_dir, is_alone=len(together) > 1)


def _check_files(
    folder: Path, files: Sequence[Path], models_dir: Path | None, *, is_alone: bool = False
) -> Checked:
    read = read_files(files)
    look = look_at(read)
    service, library = _home(folder, look.info_name, models_dir)
    if is_alone and look.info_name is not None:
        # A folder of independent models: there is nothing but its own words to call this one by.
        service = look.info_name
    is_fragment = not look.has_info and not look.has_api_objects
    compiled = compile_read(service, read, library, fragment=is_fragment)
    return Checked((compiled.model,) if compiled.model is not None else (), compiled.problems)


def _check_folder(folder: Path, models_dir: Path | None) -> Checked:
    files = model_files(folder)
    parts = [part for part in subfolders(folder) if model_files(part)]
    look = look_at(read_files(files))
    # With nothing but versions in it, a service's folder looks like a models directory; their names tell.
    is_service = look.has_info or (
        bool(parts) and all(look_at(read_files(model_files(part))).info_name == folder.name for part in parts)
    )
    if is_service:
        service, library = _home(folder, look.info_name, models_dir)
        if service == folder.name:
            return _of(load_service(folder, library))
        return _check_files(folder, files, models_dir)
    checked = [_check_files(folder, files, models_dir)] if files else []
    for part in parts:
        library = library_of(folder) if models_dir is None else _library(models_dir)
        found = load_service(part, library)
        checked.append(_of(found) if found is not None else _check_files(part, model_files(part), folder))
    if not checked:
        raise NothingToCheck(f"{folder} has no model: no .yaml file in it, nor in a folder below it")
    return Checked(
        tuple(model for one in checked for model in one.models),
        tuple(problem for one in checked for problem in one.problems),
    )


def _of(service: Service | None) -> Checked:
    return Checked(service.models, service.problems) if service is not None else Checked((), ())


def _home(folder: Path, info_name: str | None, models_dir: Path | None) -> tuple[str, Library]:
    """The service that a folder belongs to, and where it looks up imports.

    The folder of a further version bears the version's name, its parent the service's.
    """
    is_version = (
        info_name is not None and info_name not in (folder.name, "") and info_name == folder.parent.name
    )
    service_folder = folder.parent if is_version else folder
    return service_folder.name, _library(models_dir or service_folder.parent)


def _library(models_dir: Path) -> Library:
    return Library((models_dir, bundled_models_dir()))
