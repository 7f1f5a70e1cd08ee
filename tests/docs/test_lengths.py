"""Files that are read on a few screens: nothing over 500 lines that doesn't say why it must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import PROJECT, page_name

LIMIT = 500
TOP = 10
BUILT = {"build", "dist", "htmlcov"}
UNWRITTEN = ["*.lock", "*.pyc", "*.sample", "*.whl", "*_pb2.py", "*_pb2.pyi"]
"""What programs make and nobody edits, as the folders that are `BUILT`."""


def written() -> Iterator[Path]:
    """All files of the project that people write: nothing hidden at its top but `.ci`."""
    top = [path for path in PROJECT.glob("[!.]*") if path.name not in BUILT]
    for path in (*top, *(PROJECT / ".ci").iterdir()):
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file() and not any(file.match(pattern) for pattern in UNWRITTEN):
                yield file


def too_long(path: Path) -> bool:
    """Whether it has over 500 lines, and none of the first ten has `Long because` and a reason behind it."""
    with path.open(encoding="utf-8", errors="replace") as text:
        lines = list(text)
    return len(lines) > LIMIT and not any(re.search(r"\bLong because \w", line) for line in lines[:TOP])


def test_a_file_of_over_500_lines_says_at_its_top_why() -> None:
    files = sorted(written())
    assert {Path(__file__), PROJECT / "README.md"} <= set(files)
    found = [page_name(path) for path in files if too_long(path)]
    assert not found, (
        f"over {LIMIT} lines, and no `Long because …` in the first {TOP}: {', '.join(found)}. "
        "Better than a reason: two files, each with one subject"
    )


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (["x"] * 500, False),
        (["x"] * 501, True),
        (["# Long because one table belongs on one page.", *["x"] * 500], False),
        (["# Long because", *["x"] * 500], True),
        ([*["x"] * 10, "# Long because it is.", *["x"] * 490], True),
    ],
    ids=["at the limit", "over it", "with its reason", "without the reason itself", "with it too far down"],
)
def test_what_a_long_file_must_say(tmp_path: Path, lines: list[str], refused: bool) -> None:
    path = tmp_path / "long.py"
    path.write_text("\n".join(lines))
    assert too_long(path) is refused
