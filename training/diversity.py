"""How long and how varied a set of texts is: what word overlap does not tell.

A model that writes one good sentence of every study scores well and helps nobody. Assumes sentence-case reports.
Knows no references' meaning and no model.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pipeline.text import clean_r2gen


def words_of(text: str) -> list[str]:
    """The words of a report, cleaned as for scores, without full stops."""
    return [word for word in clean_r2gen(text).split() if word != "."]


def distinct_share(texts: Sequence[str], order: int) -> float:
    """Different words (order 1) or pairs of words (order 2) over all of them: distinct-1 and distinct-2."""
    grams = [gram for text in texts for gram in _grams(words_of(text), order)]
    return len(set(grams)) / max(1, len(grams))


def _grams(words: Sequence[str], order: int) -> Iterable[tuple[str, ...]]:
    return pairwise(words) if order == 2 else ((word,) for word in words)  # noqa: PLR2004 - a pair
