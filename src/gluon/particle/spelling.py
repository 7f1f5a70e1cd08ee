"""Words in messages and descriptions: what was probably meant, and which article a name takes."""

from __future__ import annotations

from collections.abc import Iterable

from gluon.model.problems import nearest_spelling


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing when no candidate is near; case does not count."""
    candidate = nearest_spelling(word, candidates)
    return f"; did you mean {candidate}?" if candidate is not None else ""


def with_article(noun: str) -> str:
    """`a port`, `an interface`; by the first letter, which is right for nearly all names."""
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"
