"""The click commands of one service, from the descriptions that its model gives.

The client converts types and leaves every other judgement to the server, which names all that is wrong
at once: a text that is no value of its attribute's type is sent as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from gluon.client.binding_commands import binding_commands
from gluon.client.errors import INTERRUPTED, ClientError, InvalidRequest
from gluon.client.output import FORMATS, Output, chosen_format
from gluon.client.sdk import Proton
from gluon.model.model import SERVER_ATTRIBUTES, AttributeType
from gluon.particle.commands import Command, Option, Place, Verb, command_descriptions
from gluon.particle.queries import ATTRIBUTE_PREFIX, QUERY_NAMES
from gluon.particle.spelling import did_you_mean

_OWN_FLAGS = ("--format", "--columns", "--clear", "--help")
"""Flags of the command line itself; an attribute of such a name is written `--attr:NAME`, as in queries."""


STATUS_COLUMNS = ("controller", "state", "reason", "revision_number", "time")


def service_commands(proton: Proton) -> dict[str, click.Command]:
    """The commands of a service by name, in the order of its model."""
    commands: dict[str, click.Command] = {}
    if proton.model.port is not None:
        commands = {str(c.name): c for c in binding_commands(proton, proton.model.port)}
    # What the model itself calls so comes first, also in its place.
    described = {c.name: ServiceCommand(proton, c) for c in command_descriptions(proton.model)}
    return described | {name: command for name, command in commands.items() if name not in described}


class ServiceCommand(click.Command):
    """One command of a service; its options are made on first use, for a service has hundreds."""

    def __init__(self, proton: Proton, described: Command) -> None:
        super().__init__(
            described.name,
            help="\n\n".join([described.help, *(f"{a.name.upper()}: {a.help}" for a in described.arguments)]),
            short_help=described.help,
            context_settings={"token_normalize_func": _with_underscores},
            callback=self._execute,
        )
        self._proton = proton
        self._described = described
        self._object = proton.model.objects[described.object]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The arguments and options of the command."""
        if not self.params:
            self.params = [
                *(click.Argument(["key"], metavar=a.name.upper()) for a in self._described.arguments),
                *(_click_option(n, option) for n, option in enumerate(self._described.options)),
                *self._own_options(),
            ]
        return super().get_params(ctx)

    @property
    def _columns(self) -> tuple[str, ...]:
        if self._described.verb is Verb.STATUS:
            return STATUS_COLUMNS
        return (*self._object.attributes, *SERVER_ATTRIBUTES)

    def _own_options(self) -> Iterable[click.Option]:
        verb = self._described.verb
        if verb is Verb.UPDATE:
            names = [a.name for a in self._object.attributes.values() if not a.required]
            yield click.Option(
                ["--clear", "clear"],
                multiple=True,
                metavar="ATTRIBUTE",
                shell_complete=lambda _ctx, _param, incomplete: _items(names, incomplete),
                help="Clear this attribute (null); may be repeated.",
            )
        if verb is Verb.LIST:
            yield click.Option(
                ["--watch", "watch"],
                is_flag=True,
                help="Go on with what changes, a line for each change, until Ctrl-C.",
            )
        if verb is not Verb.DELETE:
            yield click.Option(
                ["-f", "--format", "format"],
                type=click.Choice(FORMATS),
                help="How to print; default: table on a terminal, json elsewhere.",
            )
            yield click.Option(
                ["-c", "--columns", "columns"],
                multiple=True,
                metavar="NAME[,NAME…]",
                shell_complete=lambda _ctx, _param, incomplete: _items(self._columns, incomplete),
                help="Print these attributes only; may be repeated.",
            )

    def _execute(self, /, **values: Any) -> None:
        given = self._given(values)
        body = {o.parameter: v for o, v in given if o.place is Place.BODY}
        query = {o.parameter: v for o, v in given if o.place is Place.QUERY}
        name, key = self._described.plural, values.get("key", "")
        verb, dry_run = self._described.verb, bool(query.get("dry_run"))
        if verb is Verb.DELETE:
            self._proton.delete(name, key, cascade=bool(query.get("cascade")), dry_run=dry_run)
            return
        output = self._output(values)
        if verb is Verb.LIST and values["watch"]:
            self._watch(output, query)
        elif verb is Verb.LIST:
            self._list(output, query)
        elif verb is Verb.SHOW:
            output.show(self._proton.get(name, key))
            if output.format == "table" and not output.columns:
                self._show_status_below(output, key)
        elif verb is Verb.STATUS:
            output.show_list("status", self._proton.status(name, key), STATUS_COLUMNS, STATUS_COLUMNS)
        elif verb is Verb.CREATE:
            output.show(self._proton.create(name, body, dry_run=dry_run))
        else:
            body |= self._cleared(values["clear"], body)
            if not body:
                raise InvalidRequest(f"nothing to change: {self.name} --help lists what can be")
            output.show(self._proton.update(name, key, body, dry_run=dry_run))

    def _show_status_below(self, output: Output, key: str) -> None:
        """What controllers made of an object that was shown, as far as it can be told."""
        try:
            found = self._proton.status(self._described.plural, key)
        except ClientError as error:
            click.echo(f"protonclient: no status: {' '.join(str(error).split())}", err=True)
            return
        if found:
            output.show_list("status", found, STATUS_COLUMNS, STATUS_COLUMNS)

    def _given(self, values: Mapping[str, Any]) -> list[tuple[Option, Any]]:
        options = enumerate(self._described.options)
        return [
            (option, _value(option, given))
            for n, option in options
            if (given := values[_parameter_name(n)]) not in (None, ())
        ]

    def _list(self, output: Output, query: dict[str, Any]) -> None:
        if output.columns:
            query.setdefault("fields", ",".join(output.columns))
        documents = list(self._proton.list(self._described.plural, **query))
        names, by_interest = self._shown(query.get("fields"))
        output.show_list(self._described.plural, documents, names, by_interest)

    def _watch(self, output: Output, query: dict[str, Any]) -> None:
        from gluon.client.watch_output import WatchOutput

        asked = query.pop("fields", None)
        fields = output.columns or (() if asked is None else tuple(asked.split(",")))
        names, by_interest = self._shown(asked)
        printed = WatchOutput(output, self._object, names, by_interest)
        try:
            printed.begin()
            changes = self._proton.watch(
                self._described.plural, fields=fields, on_trouble=_say_trouble, **query
            )
            for change in changes:
                printed.show(change)
        except KeyboardInterrupt as error:
            raise click.exceptions.Exit(INTERRUPTED) from error

    def _shown(self, fields: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The attributes that objects come with, and the same by interest."""
        names = self._columns if fields is None else tuple(fields.split(","))
        attributes = self._object.attributes.values()
        required = [a.name for a in attributes if a.required and a.name != "tenant_id"]
        by_interest = dict.fromkeys([self._object.key, "name", *required, *names])
        return names, tuple(n for n in by_interest if n in names)

    def _output(self, values: Mapping[str, Any]) -> Output:
        columns = tuple(c.strip() for given in values["columns"] for c in given.split(","))
        for column in columns:
            if column not in self._columns:
                hint = did_you_mean(column, self._columns) or f"; it has {', '.join(self._columns)}"
                raise InvalidRequest(f"{self._object.api_name} has no attribute {column}{hint}")
        return Output(chosen_format(values["format"]), columns)

    def _cleared(self, names: Iterable[str], body: Mapping[str, Any]) -> dict[str, None]:
        cleared = {_with_underscores(name): None for name in names}
        if both := [name for name in cleared if name in body]:
            raise InvalidRequest(f"{', '.join(both)}: can't be both given and cleared")
        return cleared


def _say_trouble(error: ClientError) -> None:
    click.echo(f"protonclient: {' '.join(str(error).split())}; trying again", err=True)


def _click_option(number: int, option: Option) -> click.Option:
    flag = option.flags[0]
    if flag in _OWN_FLAGS:
        flag = f"--{ATTRIBUTE_PREFIX}{flag.removeprefix('--')}"
    declared = [flag, _parameter_name(number)]
    if option.is_flag:
        return click.Option(declared, is_flag=True, default=None, help=option.help)
    choices = ("true", "false") if option.kind is AttributeType.BOOLEAN else option.choices
    return click.Option(
        declared,
        type=click.IntRange(min=1) if _is_limit(option) else str,
        multiple=option.place is Place.QUERY and _is_attribute(option),
        metavar="VALUE" if _is_attribute(option) else "|".join(option.choices) or option.kind.value.upper(),
        shell_complete=lambda _ctx, _param, incomplete: _items(choices, incomplete),
        help=option.help,
    )


def _value(option: Option, given: Any) -> Any:
    if option.place is Place.QUERY:
        return given
    try:
        return option.value(given)
    except ValueError:
        return given


def _is_limit(option: Option) -> bool:
    # The one value that the client itself counts with.
    return option.place is Place.QUERY and option.parameter == "limit"


def _is_attribute(option: Option) -> bool:
    return option.place is Place.BODY or option.parameter not in QUERY_NAMES


def _parameter_name(number: int) -> str:
    # An attribute may be called like anything, such as `self`; a number clashes with nothing.
    return f"option_{number}"


def _with_underscores(flag: str) -> str:
    return flag.replace("-", "_")


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
