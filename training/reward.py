"""What a sampled report is worth: likeness to what was written, and the findings it names rightly.

CIDEr-D (Vedantam et al., arXiv 1411.5726, section 4; document frequencies of the train reports; figures as
pycocoevalcap's, 0 to 10) stands for likeness. Each problem that a text names brings what its F1 would gain if it
is coded for the study and costs what it would lose if not; rare problems count more, since macro F1 counts each
problem alike. Sections are rewarded apart. Assumes words of `training.trainer`'s tokenizer. Knows no model.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.findings import Said, said
from pipeline.text import STOP, clean_r2gen, detokenize
from training.grams import ORDERS, SIGMA, grams_of


def _count(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for order in range(1, ORDERS + 1):
        counts.update(grams_of(words, order))
    return counts


@dataclass(frozen=True)
class _Vector:
    weights: tuple[dict[tuple[str, ...], float], ...]  # per order
    norms: tuple[float, ...]
    length: int  # pairs of words, as pycocoevalcap counts


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """CIDEr-D against one reference per study."""

    references: Sequence[str]  # cleaned

    @cached_property
    def _vectors(self) -> list[_Vector]:
        return [self._vector(text.split()) for text in self.references]

    @cached_property
    def _documents(self) -> Counter[tuple[str, ...]]:
        return Counter(gram for text in self.references for gram in set(_count(text.split())))

    def _vector(self, words: Sequence[str]) -> _Vector:
        total = math.log(max(2, len(self.references)))
        weights: tuple[dict[tuple[str, ...], float], ...] = ({}, {}, {}, {})
        length = 0
        for gram, count in _count(words).items():
            weights[len(gram) - 1][gram] = count * (total - math.log(max(1.0, self._documents[gram])))
            length += count if len(gram) == 2 else 0  # noqa: PLR2004 - pycocoevalcap's measure of length
        norms = tuple(math.sqrt(sum(value * value for value in part.values())) for part in weights)
        return _Vector(weights, norms, length)

    def score(self, words: Sequence[str], number: int) -> float:
        """CIDEr-D of some words against reference `number`."""
        own, other = self._vector(words), self._vectors[number]
        total = 0.0
        for mine, theirs, norm, norm_other in zip(own.weights, other.weights, own.norms, other.norms, strict=True):
            if norm and norm_other:
                dot = sum(min(value, theirs[g]) * theirs[g] for g, value in mine.items() if g in theirs)
                total += dot / (norm * norm_other)
        return 10.0 * total / ORDERS * math.exp(-((own.length - other.length) ** 2) / (2 * SIGMA**2))


@dataclass(frozen=True, kw_only=True)
class Truthfulness:
    """The gain in macro F1 by the problems that a text names."""

    coded: Sequence[Collection[str]]
    worth: Mapping[str, float]  # problem -> what a right mention brings
    even: float = 0.15  # probability from which a mention pays: half of the F1 that is within reach

    @classmethod
    def of(cls, coded: Sequence[Collection[str]], *, at_least: int, even: float) -> "Truthfulness":
        """Problems with enough cases, worth the more the rarer they are."""
        counts = Counter(label for labels in coded for label in labels if label != "normal")
        common = max(counts.values(), default=1)
        worth = {name: math.sqrt(common / count) for name, count in sorted(counts.items()) if count >= at_least}
        return cls(coded=coded, worth=worth, even=even)

    def score(self, words: Sequence[str], number: int) -> float:
        """What the named problems bring for study `number`."""
        sentences = " ".join(words).split(" . ")
        named = {label for part in sentences for label in said_by(part.removesuffix(" .")).named}
        true = self.coded[number]
        return sum(self.worth[label] * ((label in true) - self.even) for label in named if label in self.worth)


def said_by(sentence: str) -> Said:
    """What one sentence says, given as words without its full stop."""
    return said(detokenize([*sentence.split(), STOP]))


def plain_words(vocabulary: Sequence[str]) -> list[str]:
    """Each word as the published protocol cleans it; "" for one that it drops."""
    return [word if word == "." else clean_r2gen(word).removesuffix(" .").strip(" .") for word in vocabulary]
