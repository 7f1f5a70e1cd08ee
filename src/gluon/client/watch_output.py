"""What `--watch` prints: a line for each change, as it comes."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from gluon.client.output import Output, cell, plain, shortened
from gluon.client.watching import Change
from gluon.model.model import ApiObject, AttributeType

_WIDTHS = {
    AttributeType.UUID: 36,
    AttributeType.BOOLEAN: 5,
    AttributeType.INTEGER: 10,
    AttributeType.NUMBER: 10,
}
_OTHER_WIDTH = 20
_SERVER_WIDTHS = {"created_at": 27, "updated_at": 27}
_TYPE = "event"
_TYPE_WIDTH = len("MODIFIED")


class WatchOutput:
    """Prints changes in one of the formats of `Output`."""

    def __init__(
        self, output: Output, api_object: ApiObject, names: Sequence[str], by_interest: Sequence[str]
    ) -> None:
        """`names` are the attributes that objects come with; a table has those `by_interest` that fit."""
        self._format = output.format
        self._columns = output.columns
        self._names = tuple(self._columns or names)
        self._widths = {name: _width(api_object, name) for name in (*self._names, *by_interest)}
        if self._format == "table" and not self._columns:
            self._names = self._fitting(by_interest)

    def begin(self) -> None:
        """Print what stands above the changes."""
        if self._format == "csv":
            self._csv([_TYPE, *self._names])
        elif self._format == "table":
            self._row([_TYPE, *self._names])

    def show(self, change: Change) -> None:
        """Print one change."""
        shown = change.object
        if self._columns:
            shown = {name: shown.get(name) for name in self._columns}
        if self._format == "json":
            plain_ascii = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
            click.echo(json.dumps({"type": change.type, "object": shown}, ensure_ascii=plain_ascii))
        elif self._format == "yaml":
            import yaml  # only this format pays for loading it

            document = {"type": change.type, "object": shown}
            click.echo("---\n" + yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip("\n"))
        elif self._format == "csv":
            self._csv([change.type, *(plain(shown.get(name)) for name in self._names)])
        elif self._format == "value":
            click.echo("\t".join([change.type, *(plain(shown.get(name)) for name in self._names)]))
        else:
            self._row([change.type, *(cell(shown.get(name)) for name in self._names)])

    def _fitting(self, names: Sequence[str]) -> tuple[str, ...]:
        from rich.console import Console

        room = Console().width - _TYPE_WIDTH
        fitting: list[str] = []
        for name in names:
            room -= self._widths[name] + 2
            if fitting and room < 0:
                break
            fitting.append(name)
        return tuple(fitting)

    def _row(self, cells: Sequence[str]) -> None:
        from rich.cells import cell_len

        widths = [_TYPE_WIDTH, *(self._widths[name] for name in self._names)]
        padded = []
        for number, (text, width) in enumerate(zip(cells, widths, strict=True)):
            # Keys are shown whole: they are what one copies.
            text = text if number < 2 else shortened(text, width)
            padded.append(text + " " * max(0, width - cell_len(text)))
        click.echo("  ".join(padded).rstrip())

    @staticmethod
    def _csv(values: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(values)
        click.echo(text.getvalue())


def _width(api_object: ApiObject, name: str) -> int:
    attribute = api_object.attributes.get(name)
    if attribute is None:
        width = _SERVER_WIDTHS.get(name, 0)
    elif attribute.values:
        width = max(map(len, attribute.values))
    else:
        width = _WIDTHS.get(attribute.value_type, _OTHER_WIDTH)
    return max(width, len(name))
