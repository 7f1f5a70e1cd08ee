"""The commands for the bindings of ports: `port-binding-list`, `-create`, `-show`, `-activate`, `-delete`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from gluon.client.errors import InvalidRequest
from gluon.client.output import FORMATS, Output, chosen_format
from gluon.client.sdk import Proton
from gluon.model.model import ApiObject
from gluon.particle.spelling import did_you_mean

_COLUMNS = ("host", "status", "vnic_type", "profile", "vif_type", "vif_details")
_BY_INTEREST = ("host", "status", "vif_type", "vif_details", "profile", "vnic_type")

_DRY_RUN = click.Option(
    ["--dry_run", "--dry-run", "dry_run"], is_flag=True, help="Change nothing, and answer as if it were done."
)
_FORMAT = click.Option(
    ["-f", "--format", "format"],
    type=click.Choice(FORMATS),
    help="How to print; default: table on a terminal, json elsewhere.",
)
_CHOSEN = click.Option(
    ["-c", "--columns", "columns"],
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Print these attributes only; may be repeated.",
)
_PROFILE = click.Option(
    ["--profile", "profile"],
    metavar="JSON",
    help="Binding profile of that host: a JSON object for its controller.",
)


def binding_commands(proton: Proton, port: ApiObject) -> Iterator[click.Command]:
    """The commands for the bindings of a service's port object."""
    noun = f"{port.api_name}-binding"
    key = click.Argument(["key"], metavar=port.key.upper())
    host = click.Argument(["host"], metavar="HOST")

    def command(
        verb: str, text: str, run: Callable[..., None], *params: click.Parameter, shows: bool = True
    ) -> click.Command:
        shown = [_FORMAT, _CHOSEN] if shows else []
        return click.Command(f"{noun}-{verb}", help=text, callback=run, params=[key, *params, *shown])

    def show(document: dict[str, Any], format: str | None, columns: tuple[str, ...]) -> None:
        _output(format, columns).show(document)

    def run_list(key: str, format: str | None, columns: tuple[str, ...]) -> None:
        documents = proton.port_bindings(key).list()
        _output(format, columns).show_list("bindings", documents, _COLUMNS, _BY_INTEREST)

    def run_create(key: str, host: str, profile: str | None, dry_run: bool, **output: Any) -> None:
        show(proton.port_bindings(key).create(host, profile=profile, dry_run=dry_run), **output)

    def run_show(key: str, host: str, **output: Any) -> None:
        show(proton.port_bindings(key).get(host), **output)

    def run_activate(key: str, host: str, dry_run: bool, **output: Any) -> None:
        show(proton.port_bindings(key).activate(host, dry_run=dry_run), **output)

    def run_delete(key: str, host: str, dry_run: bool) -> None:
        proton.port_bindings(key).delete(host, dry_run=dry_run)

    article = f"a {port.api_name}"
    yield command("list", f"List where {article} is bound.", run_list)
    yield command(
        "create",
        f"Make {article} ready on another host, for live migration.",
        run_create,
        host,
        _PROFILE,
        _DRY_RUN,
    )
    yield command("show", f"Show one binding of {article}.", run_show, host)
    yield command(
        "activate",
        f"Use {article} on another host, where it was made ready, from now on.",
        run_activate,
        host,
        _DRY_RUN,
    )
    yield command("delete", f"Unbind {article} on one host.", run_delete, host, _DRY_RUN, shows=False)


def _output(format: str | None, columns: tuple[str, ...]) -> Output:
    names = tuple(name.strip() for given in columns for name in given.split(","))
    for name in names:
        if name not in _COLUMNS:
            hint = did_you_mean(name, _COLUMNS) or f"; it has {', '.join(_COLUMNS)}"
            raise InvalidRequest(f"a binding has no attribute {name}{hint}")
    return Output(chosen_format(format), names)
