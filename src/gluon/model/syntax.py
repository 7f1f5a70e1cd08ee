"""Why a file is not YAML, said so that its author finds the line and the usual cause."""

from __future__ import annotations

import yaml

from gluon.model.problems import Position, Report


def decode(path: str, content: bytes, report: Report) -> str | None:
    """The text of a file, without a byte order mark; None, reported, if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        report.error(Position(path, line, column), "the file is not UTF-8 text from here on")
        return None


def error_position(path: str, error: yaml.MarkedYAMLError) -> Position:
    """Where the parser gave up."""
    mark = error.problem_mark or error.context_mark
    return Position(path, mark.line + 1, mark.column + 1) if mark is not None else Position(path)


def syntax_message(text: str, error: yaml.MarkedYAMLError) -> str:
    """What the parser says, with a hint where its words don't show the usual cause."""
    problem = error.problem or "the text could not be read"
    message = f"not YAML: {problem}"
    if error.context and error.context_mark is not None:
        message += f" ({error.context} that starts at line {error.context_mark.line + 1})"
    mark = error.problem_mark
    if mark is None:
        return message
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return "not YAML: a tab; YAML indents with spaces"
    if "cannot start any token" in problem and line[mark.column : mark.column + 1] in ("@", "`", "%"):
        return f"not YAML: a text that starts with {line[mark.column]!r} must stand in quotes"
    if "mapping values are not allowed" in problem:
        message += "; a text with ': ' in it must stand in quotes, and keys of one level start in one column"
    elif "did not find expected key" in problem or "could not find expected ':'" in problem:
        message += "; look for a line that is indented differently from its neighbours, or a missing ':'"
    return message
