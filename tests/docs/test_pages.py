from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from docs.pages import PAGES, PROJECT, page_name, shell_commands
from gluon.ops.main import main as gluon_command

OUR_COMMANDS = {
    script.name for script in entry_points(group="console_scripts") if script.value.startswith("gluon.")
}


def _commands(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


GLUON_COMMANDS = dict(_commands(gluon_command))
"""The commands of `gluon` by their names, those of groups as `sync check`."""
TARGETS = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as the usual renderers of Markdown do."""
    # A comment in a block of commands looks like a heading and is none.
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page_name(page)} links to {link}, which is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page_name(page)} links to {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    for words in shell_commands(page):
        name = Path(words[0]).name
        if name == "make":
            assert set(words[1:2]) <= TARGETS, f"{page_name(page)}: there is no `make {words[1]}`"
        elif name == "gluon" and len(words) > 1 and not words[1].startswith("-"):
            found = [n for n in (" ".join(words[1:3]), words[1]) if n in GLUON_COMMANDS]
            assert found, f"{page_name(page)}: there is no `gluon {' '.join(words[1:3])}`"
            options = {o for p in GLUON_COMMANDS[found[0]].params for o in p.opts}
            unknown = {w.partition("=")[0] for w in words[2:] if w.startswith("--")} - options - {"--help"}
            assert not unknown, f"{page_name(page)}: `gluon {found[0]}` has no {', '.join(unknown)}"
        elif name.startswith(("gluon", "proton")):
            assert name in OUR_COMMANDS, f"{page_name(page)}: there is no command {name}"
        elif words[0].startswith(("scripts/", ".ci/")):
            assert (PROJECT / words[0]).exists(), f"{page_name(page)}: there is no {words[0]}"


def test_every_command_and_its_options_are_documented() -> None:
    from docs.pages import documentation

    text = documentation()
    missing = [name for name in sorted(OUR_COMMANDS) if f"`{name}" not in text and f"$ {name}" not in text]
    for name, command in GLUON_COMMANDS.items():
        missing += [
            f"gluon {name} {option}"
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("-")
            if f"`{option}" not in text and f"`gluon {name}" in text
        ]
        if f"`gluon {name}" not in text:
            missing.append(f"gluon {name}")
    assert not missing, f"docs/ says nothing of: {', '.join(missing)}"
