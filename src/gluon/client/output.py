"""What commands print: JSON in the API's own shape for programs, a table for people."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from gluon.client.formats import FORMATS

__all__ = ["FORMATS", "Output", "cell", "plain", "shortened"]

_CELL = 60
"""Characters of a value that a table of several objects shows; other formats show all of it."""


def chosen_format(asked: str | None) -> str:
    """The format that was asked for; else what fits where stdout goes."""
    at_terminal = sys.stdout is not None and sys.stdout.isatty()
    return asked or ("table" if at_terminal else "json")


@dataclass(frozen=True, slots=True)
class Output:
    """How to print: the format, and the columns asked for (none: all, in tables of lists those that fit)."""

    format: str
    columns: tuple[str, ...] = ()

    def show(self, document: Mapping[str, Any]) -> None:
        """Print one object."""
        chosen = self._chosen(document)
        if self.format in ("json", "yaml"):
            _echo(_structured(self.format, chosen))
        elif self.format == "csv":
            _echo(_csv(list(chosen), [chosen]))
        elif self.format == "value":
            _echo("\n".join(plain(v) for v in chosen.values()))
        else:
            _print_table(("field", "value"), [(name, cell(v)) for name, v in chosen.items()])

    def show_list(
        self,
        plural: str,
        documents: Sequence[Mapping[str, Any]],
        names: Sequence[str],
        by_interest: Sequence[str],
    ) -> None:
        """Print objects; `names` are what they have; tables show `by_interest`, as many as fit."""
        rows = [self._chosen(document) for document in documents]
        names = self.columns or names
        if self.format in ("json", "yaml"):
            _echo(_structured(self.format, {plural: rows}))
        elif self.format == "csv":
            _echo(_csv(names, rows))
        elif self.format == "value":
            if rows:
                _echo("\n".join("\t".join(plain(row.get(n)) for n in names) for row in rows))
        elif self.columns:
            _print_table(names, [[cell(row.get(n)) for n in names] for row in rows])
        else:
            _print_fitting(by_interest, rows)

    def _chosen(self, document: Mapping[str, Any]) -> dict[str, Any]:
        if not self.columns:
            return dict(document)
        return {name: document.get(name) for name in self.columns}


def _echo(text: str) -> None:
    click.echo(text)


def _structured(format: str, value: object) -> str:
    if format == "json":
        plain_ascii = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
        return json.dumps(value, indent=2, ensure_ascii=plain_ascii)
    import yaml  # only this format pays for loading it

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip("\n")


def _csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([plain(row.get(name)) for name in names] for row in rows)
    return text.getvalue().rstrip("\n")


def plain(value: object) -> str:
    """A value as text: strings as they are, nothing for null, else as JSON spells it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cell(value: object) -> str:
    """A value as a terminal may be given it."""
    # What another tenant wrote must not move the cursor or colour the terminal of whoever looks at it.
    return "".join(
        c if unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode("ascii")
        for c in plain(value)
    )


def _print_fitting(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of as many columns as the terminal is wide for, the first one always."""
    from rich.cells import cell_len
    from rich.console import Console

    room = Console().width - 1
    shown: list[str] = []
    columns: list[list[str]] = []
    for name in names:
        cells = [shortened(cell(row.get(name)), _CELL) if shown else cell(row.get(name)) for row in rows]
        width = max(cell_len(text) for text in (name, *cells)) + 3
        if shown and width > room:
            break
        room -= width
        shown.append(name)
        columns.append(cells)
    left_out = len(names) - len(shown)
    note = f"{left_out} more columns: widen the terminal, or use -c or -f" if left_out else None
    _print_table(shown, list(zip(*columns, strict=True)), note)


def shortened(text: str, width: int) -> str:
    """The text, cut to so many characters where it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]], note: str | None = None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=note, caption_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, soft_wrap=False).print(table)
