"""How far a figure would move with other studies of the same kind: 95 % bootstrap intervals.

Studies are drawn again with replacement; a draw is a row of weights, how often each study is in it. A figure is
a `Statistic`: it takes all draws at once and needs only what each study contributes, so nothing is scored again
and a thousand draws take seconds. Assumes studies that are independent of each other. Knows neither texts nor
models.

Shapes: D draws, S studies, G distinct scores, L labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Array], Array]  # weights [D, S] -> values [D]
Interval: TypeAlias = tuple[float, float]

DRAWS = 1000
OUTSIDE = (2.5, 97.5)  # percentiles
TINY, SMALL = 1e-15, 1e-9  # pycocoevalcap's own, against division by zero


def draw_weights(studies: int, draws: int = DRAWS, seed: int = 0) -> Array:
    """[D, S] how often each draw takes each study; every row sums to S."""
    random = np.random.default_rng(seed)
    return random.multinomial(studies, np.full(studies, 1 / studies), size=draws).astype(np.float64)


def intervals(statistics: Mapping[str, Statistic], studies: int, draws: int = DRAWS) -> dict[str, Interval]:
    """The 95 % interval of each figure; the same draws for all, so that figures can be compared."""
    weights = draw_weights(studies, draws)
    bounds = {name: np.percentile(statistic(weights), OUTSIDE) for name, statistic in statistics.items()}
    return {name: (float(lower), float(upper)) for name, (lower, upper) in bounds.items()}


def whole(statistic: Statistic, studies: int) -> float:
    """The figure of all studies, each taken once."""
    return float(statistic(np.ones((1, studies)))[0])


def mean_of(scores: Sequence[float] | NDArray[Any], shift: float = 0.0) -> Statistic:
    """The mean over studies; `shift` moves it onto a figure that is not quite the mean."""
    values = np.asarray(scores, dtype=np.float64)
    return lambda weights: weights @ values / weights.sum(axis=1) + shift


def bleu_of(counts: NDArray[np.int64], order: int) -> Statistic:
    """Corpus BLEU of an order from each study's n-gram matches, n-grams and lengths, as `scores.ngram_counts`."""
    orders = (counts.shape[1] - 2) // 2

    def statistic(weights: Array) -> Array:
        sums = weights @ counts  # [D, 2 * orders + 2]
        precisions = (sums[:, :order] + TINY) / (sums[:, orders : orders + order] + SMALL)
        ratio = (sums[:, -2] + TINY) / (sums[:, -1] + SMALL)
        brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
        return np.asarray(np.prod(precisions, axis=1) ** (1 / order) * brevity)

    return statistic


def macro_f1_of(hits: Array, said: Array, cases: Array) -> Statistic:
    """The mean of the labels' F1, from [S, L] of 0 and 1."""
    return lambda weights: np.asarray(_f1(weights @ hits, weights @ said, weights @ cases).mean(axis=1))


def micro_f1_of(hits: Array, said: Array, cases: Array) -> Statistic:
    """The F1 over all labels' mentions, from [S, L] of 0 and 1."""
    totals = [array.sum(axis=1) for array in (hits, said, cases)]
    return lambda weights: _f1(*(weights @ total for total in totals))


def _f1(hits: Array, said: Array, cases: Array) -> Array:
    return np.asarray(2 * hits / np.maximum(said + cases, 1))


def auroc_of(scores: Sequence[float], truth: Sequence[bool]) -> Statistic:
    """The area under the ROC curve, equal scores counted half; .5 where a draw holds one kind of study only."""
    _, group = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 1))
    positive = np.asarray(truth, dtype=np.float64)

    def statistic(weights: Array) -> Array:
        yes = np.add.reduceat((weights * positive)[:, order], starts, axis=1)  # [D, G]
        no = np.add.reduceat((weights * (1 - positive))[:, order], starts, axis=1)
        won = (yes * (np.cumsum(no, axis=1) - no / 2)).sum(axis=1)
        pairs = yes.sum(axis=1) * no.sum(axis=1)
        return np.asarray(np.where(pairs > 0, won / np.maximum(pairs, 1), 0.5))

    return statistic
