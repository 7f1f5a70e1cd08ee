"""The nearest valid spelling of a word that is not valid."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_WORD = 64
"""Names have at most 48 characters; comparing a far longer word costs time and helps nobody."""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that the word was probably meant to be, if any is near; case does not count."""
    if not word or len(word) > _LONGEST_WORD:
        return None
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """The end of a message: `; did you mean X?`, or nothing when no candidate is near."""
    candidate = nearest(word, candidates)
    return f"; did you mean {candidate}?" if candidate is not None else ""
