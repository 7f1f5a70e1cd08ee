"""The end of a message about a word that is not valid: the valid one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from gluon.model.problems import nearest_spelling


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no candidate is near; case does not count."""
    candidate = nearest_spelling(word, candidates)
    return f"; did you mean {candidate}?" if candidate is not None else ""
