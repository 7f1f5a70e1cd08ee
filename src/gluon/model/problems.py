"""What is wrong with a model, and where: problems are collected, so that all are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]

# Looking for the nearest spelling compares a word with every candidate. A file made to hurt could ask
# for that a hundred thousand times; past this many, problems are told without a suggestion.
MOST_SUGGESTIONS = 200
# Beyond this many problems in one model a reader is not helped by more of them.
MOST_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; `line` and `column` count from 1."""

    path: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a model's files, with its place and the object that it concerns."""

    path: str
    line: int
    column: int
    object: str | None
    attribute: str | None
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        subject = ".".join(name for name in (self.object, self.attribute) if name)
        return f"{self.path}:{self.line}:{self.column}: {subject + ': ' if subject else ''}{self.message}"


class ModelError(Exception):
    """A model has errors; `problems` holds all of them, warnings too."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Report:
    """Collects the problems of one model while it is compiled."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._dropped = 0
        self._suggestions = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems by place, errors and warnings."""
        found = sorted(self._problems, key=lambda problem: (problem.path, problem.line, problem.column))
        if self._dropped:
            last = found[-1]
            message = f"{self._dropped} more problems are not shown"
            found.append(Problem(last.path, last.line, last.column, None, None, message, "error"))
        return tuple(found)

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far keeps the model from being served."""
        return self._dropped > 0 or any(problem.severity == "error" for problem in self._problems)

    def error(
        self, position: Position, message: str, object: str | None = None, attribute: str | None = None
    ) -> None:
        """Note an error."""
        self._add(position, message, object, attribute, "error")

    def warning(
        self, position: Position, message: str, object: str | None = None, attribute: str | None = None
    ) -> None:
        """Note what is probably a mistake, but stops nothing."""
        self._add(position, message, object, attribute, "warning")

    def add(self, problems: Iterable[Problem]) -> None:
        """Note problems that were found elsewhere."""
        for problem in problems:
            self._add_problem(problem)

    def _add(
        self,
        position: Position,
        message: str,
        object: str | None,
        attribute: str | None,
        severity: Severity,
    ) -> None:
        self._add_problem(
            Problem(position.path, position.line, position.column, object, attribute, message, severity)
        )

    def _add_problem(self, problem: Problem) -> None:
        if len(self._problems) >= MOST_PROBLEMS:
            self._dropped += 1
        else:
            self._problems.setdefault(problem)

    def suggest(self, word: str, candidates: Iterable[str]) -> str:
        """` (did you mean 'x'?)` for the nearest candidate, or an empty string."""
        if self._suggestions >= MOST_SUGGESTIONS:
            return ""
        self._suggestions += 1
        nearest = nearest_spelling(word, candidates)
        return f" (did you mean {nearest!r}?)" if nearest else ""


def nearest_spelling(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was probably meant to be, whatever its case; None if nothing is near."""
    if len(word) > 100:
        return None
    by_folded: dict[str, str] = {}
    for candidate in candidates:
        by_folded.setdefault(candidate.lower().replace("-", "_"), candidate)
    near = difflib.get_close_matches(word.lower().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def quoted(text: str) -> str:
    """The text as it should stand in a message: on one line, cut when long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
