"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted(PROJECT.glob("examples/**/*.md")),
]


def page_name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def documentation() -> str:
    """All of docs/ as one text."""
    return "\n".join(page.read_text() for page in sorted(DOCS.rglob("*.md")))


def shell_commands(page: Path) -> Iterator[list[str]]:
    """The commands of a page's shell blocks, without variables, prompts, comments and output."""
    for block in re.findall(
        r"^```(?:sh|shell|console|bash)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        prompted = "$ " in block
        for line in block.replace("\\\n", " ").splitlines():
            if prompted and not line.lstrip().startswith("$ "):
                continue
            for part in re.split(r"\||&&|;", line.strip().removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words:
                    yield words
