"""The `gluon-api-tool` command: what models there are, and what is wrong with one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import click

from gluon.model.catalog import load_catalog
from gluon.model.checking import Checked, NothingToCheck, check_target
from gluon.model.model import ApiObject, Model, Role
from gluon.model.problems import Problem

_models_option = click.option(
    "--models",
    "models_dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of models; they come before the bundled ones of the same name.",
)
_format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print what was found.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gluon")
def main() -> None:
    """List and check the models from which Gluon makes networking services."""


@main.command("list")
@_models_option
@_format_option
def list_models(models_dir: Path | None, output_format: str) -> None:
    """List services, their versions and their objects.

    Models that are broken are named on stderr; `check` tells what is wrong with them.
    """
    _require_folder(models_dir)
    catalog = load_catalog(models_dir)
    if output_format == "json":
        services = [
            {"service": name, "versions": [_version_values(model) for model in versions]}
            for name, versions in sorted(catalog.services.items())
        ]
        click.echo(json.dumps({"services": services}, indent=2, ensure_ascii=False))
    else:
        blocks = (_version_lines(m) for _, versions in sorted(catalog.services.items()) for m in versions)
        click.echo("\n\n".join("\n".join(block) for block in blocks))
    for name, problems in sorted(catalog.problems.items()):
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            click.echo(f"{name}: {_count(errors)}; see: gluon-api-tool check {name}", err=True)


@main.command()
@click.argument("target", metavar="FILE|DIR|NAME")
@_models_option
@_format_option
def check(target: str, models_dir: Path | None, output_format: str) -> None:
    """Tell everything that is wrong with a model.

    FILE is a model's file, DIR a service's folder or a folder of services, NAME a service of --models or a
    bundled one. The exit code is 0 if all is sound (warnings or not), else 1.
    """
    _require_folder(models_dir)
    try:
        checked = check_target(target, models_dir)
    except NothingToCheck as error:
        raise click.ClickException(str(error)) from error
    if output_format == "json":
        click.echo(json.dumps(_checked_values(checked), indent=2, ensure_ascii=False))
    else:
        for problem in checked.problems:
            click.echo(_problem_line(problem))
        for model in checked.models:
            click.echo(f"{model.service} {model.version}: sound, {len(model.objects)} objects")
        if checked.problems:
            click.echo(_count(checked.problems))
        elif not checked.models:
            click.echo("sound; nothing here is a service by itself, but services can import it")
    if checked.errors:
        click.get_current_context().exit(1)


def _require_folder(models_dir: Path | None) -> None:
    if models_dir is not None and not models_dir.is_dir():
        raise click.ClickException(f"--models: there is no folder {models_dir}")


def _shown(path: str) -> str:
    """A path as short as it can be said from where the user stands."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _problem_line(problem: Problem) -> str:
    shown = dataclasses.replace(problem, path=_shown(problem.path))
    if problem.severity == "warning":
        shown = dataclasses.replace(shown, message=f"{problem.message} (warning)")
    return str(shown)


def _count(problems: Iterable[Problem]) -> str:
    severities = [problem.severity for problem in problems]
    words = []
    for severity in ("error", "warning"):
        number = severities.count(severity)
        if number:
            words.append(f"{number} {severity}{'s' if number > 1 else ''}")
    return ", ".join(words)


def _version_lines(model: Model) -> list[str]:
    title = f"{model.service} {model.version_id}" + (f"  {model.description}" if model.description else "")
    rows = [(o.plural, o.name, _role_words(o)) for o in model.objects.values()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [title, *(f"  {row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows)]


def _role_words(object_: ApiObject) -> str:
    words = [object_.role.value.replace("_", " ")] if object_.role is not Role.NONE else []
    if object_.parent is not None:
        words.append(f"below {object_.parent}")
    return ", ".join(words)


def _version_values(model: Model) -> dict[str, object]:
    return {
        "version": model.version,
        "version_id": model.version_id,
        "description": model.description,
        "digest": model.digest,
        "objects": [
            {
                "name": object_.name,
                "api_name": object_.api_name,
                "plural_name": object_.plural,
                "role": None if object_.role is Role.NONE else object_.role.value,
                "key": object_.key,
                "parent": object_.parent,
            }
            for object_ in model.objects.values()
        ],
    }


def _checked_values(checked: Checked) -> dict[str, object]:
    return {
        "sound": not checked.errors,
        "models": [
            {"service": model.service, "version": model.version, "digest": model.digest}
            for model in checked.models
        ],
        "problems": [dataclasses.asdict(problem) for problem in checked.problems],
    }


if __name__ == "__main__":
    main()
