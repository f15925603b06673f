"""How alike texts are, all pairs at once: n-grams as sparse matrices.

Legend: C candidates, N references, F different n-grams. The measures are those by which reports are scored, as far
as a product of matrices can tell them: a repeated n-gram counts as often as it stands, where the metrics clip it.
Texts are cleaned words separated by blanks. Knows no reports and no model.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ORDERS = 4
SIGMA = 6.0  # words of difference in length at which CIDEr-D discounts likeness to .61
BLEU_WEIGHTS = {1: 1.0, 2: 0.5, 3: 0.33, 4: 0.25}  # the seed paper's, as published: .33, not a third


@dataclass(frozen=True)
class _Counts:
    """One order's n-grams of some texts, in coordinates."""

    rows: list[int]
    columns: list[int]
    values: list[float]

    def sparse(self, size: tuple[int, int]) -> Tensor:
        places = torch.tensor([self.rows, self.columns])
        return torch.sparse_coo_tensor(places, torch.tensor(self.values), size, check_invariants=False).coalesce()


def grams_of(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """The n-grams of one order, with their counts."""
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def _count(texts: Sequence[str], order: int, numbers: dict[tuple[str, ...], int]) -> _Counts:
    counts = _Counts([], [], [])
    for row, text in enumerate(texts):
        for gram, count in grams_of(text.split(), order).items():
            counts.rows.append(row)
            counts.columns.append(numbers.setdefault(gram, len(numbers)))
            counts.values.append(float(count))
    return counts


def _pair(candidates: Sequence[str], references: Sequence[str], order: int) -> tuple[Tensor, Tensor]:
    """Counts [C, F] and [N, F], sparse."""
    numbers: dict[tuple[str, ...], int] = {}
    theirs = _count(references, order, numbers)
    ours = _count(candidates, order, numbers)
    width = max(1, len(numbers))
    return ours.sparse((len(candidates), width)), theirs.sparse((len(references), width))


def _lengths(texts: Sequence[str]) -> Tensor:
    return torch.tensor([float(max(1, len(text.split()))) for text in texts])


def _sums(sparse: Tensor) -> Tensor:
    return torch.sparse.sum(sparse, 1).to_dense()


def _weighted(sparse: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Values times a weight per column, and the rows' norms."""
    values = sparse.values() * weights[sparse.indices()[1]]
    changed = torch.sparse_coo_tensor(sparse.indices(), values, sparse.shape, check_invariants=False).coalesce()
    squares = torch.sparse_coo_tensor(sparse.indices(), values**2, sparse.shape, check_invariants=False)
    return changed, _sums(squares.coalesce()).sqrt().clamp(min=1e-9)


def cider(candidates: Sequence[str], references: Sequence[str]) -> Tensor:
    """CIDEr-D of every pair [C, N], 0 to 10; document frequencies of the references."""
    total = torch.zeros(len(candidates), len(references))
    for order in range(1, ORDERS + 1):
        ours, theirs = _pair(candidates, references, order)
        found = torch.bincount(theirs.indices()[1], minlength=theirs.shape[1]).clamp(min=1)
        weights = math.log(len(references)) - found.float().log()
        (ours, norms), (theirs, other_norms) = _weighted(ours, weights), _weighted(theirs, weights)
        total += torch.sparse.mm(ours, theirs.t().to_dense()) / (norms[:, None] * other_norms)
    apart = _lengths(candidates)[:, None] - _lengths(references)
    return 10 / ORDERS * total * torch.exp(-(apart**2) / (2 * SIGMA**2))


def overlap(candidates: Sequence[str], references: Sequence[str]) -> Tensor:
    """F1 of words and of pairs of words, their mean [C, N], 0 to 1: what BLEU and ROUGE reward."""
    total = torch.zeros(len(candidates), len(references))
    for order in (1, 2):
        ours, theirs = (_present(counts) for counts in _pair(candidates, references, order))
        both = torch.sparse.mm(ours, theirs.t().to_dense())
        total += 2 * both / (_sums(ours)[:, None] + _sums(theirs)).clamp(min=1)
    return total / 2


def sentence_bleu(candidates: Sequence[str], references: Sequence[str]) -> Tensor:
    """The seed paper's BLEU-1 to 4 for every pair [C, N], BLEU-1 as much as the others together.

    A zero precision is left out (NLTK 3.2.5), by which BLEU-2 to 4 can be had with one word; BLEU-1 can't.
    """
    logs, hit = [], []
    for order in range(1, ORDERS + 1):
        ours, theirs = (_present(counts) for counts in _pair(candidates, references, order))
        both = torch.sparse.mm(ours, theirs.t().to_dense())
        share = both / _sums(ours)[:, None].clamp(min=1)
        logs.append(torch.where(both > 0, share.clamp(min=1e-9, max=1).log(), 0.0))
        hit.append(both > 0)
    brevity = (1 - _lengths(references) / _lengths(candidates)[:, None]).clamp(max=0).exp()
    scores = [
        torch.where(hit[0], (weight * sum(logs[:order], torch.zeros_like(brevity))).exp(), 0.0)
        for order, weight in BLEU_WEIGHTS.items()
    ]
    total = ORDERS * scores[0] + sum(scores[1:], torch.zeros_like(brevity))
    result: Tensor = brevity * total / (2 * ORDERS - 1)
    return result


def _present(counts: Tensor) -> Tensor:
    ones = torch.ones_like(counts.values())
    return torch.sparse_coo_tensor(counts.indices(), ones, counts.shape, check_invariants=False).coalesce()


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Texts as unit vectors of their words and pairs of words, rare ones heavier (tf-idf)."""

    numbers: dict[tuple[str, ...], int]
    weights: Tensor  # [F]

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> "Vectors":
        """The n-grams that stand in at least two of these texts."""
        found = Counter(gram for words in texts for order in (1, 2) for gram in grams_of(words, order))
        kept = [gram for gram, count in found.items() if count > 1]
        rarity = [math.log((1 + len(texts)) / (1 + found[gram])) + 1 for gram in kept]
        return cls(numbers={gram: number for number, gram in enumerate(kept)}, weights=torch.tensor(rarity))

    def dense(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """[texts, F]; a text without a known word is 0."""
        result = torch.zeros(len(texts), len(self.weights))
        for row, words in enumerate(texts):
            for order in (1, 2):
                for gram, count in grams_of(words, order).items():
                    if gram in self.numbers:
                        result[row, self.numbers[gram]] = 1 + math.log(count)
        weighted: Tensor = result * self.weights
        unit: Tensor = weighted / weighted.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return unit
