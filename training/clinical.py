"""Clinical scores: does the text name what is there? Per label and micro/macro precision, recall and F1.

Findings are extracted from the generated text (negation and uncertainty handled; an uncertain mention counts as
named) and compared with what people coded, and with the same extraction from the reference text. A label is scored
where it has enough cases to say anything. Assumes statements from `pipeline.findings`. Knows no text metric.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.findings import extract, present_labels
from training.bootstrap import Array

MIN_CASES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelScore:
    """How one label was found."""

    cases: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Clinical:
    """All labels together."""

    labels: dict[str, LabelScore]
    macro_f1: float  # mean over labels: every finding counts alike
    micro_precision: float
    micro_recall: float
    micro_f1: float  # over all mentions: frequent findings count more


def _score(true_positive: int, named: int, cases: int) -> LabelScore:
    precision = true_positive / named if named else 0.0
    recall = true_positive / cases if cases else 0.0
    f1 = 2 * precision * recall / (precision + recall) if true_positive else 0.0
    return LabelScore(cases=cases, precision=precision, recall=recall, f1=f1)


def named_labels(findings: str, impression: str) -> frozenset[str]:
    """The findings that a report names."""
    return present_labels(extract(f"{findings}\n{impression}"))


def scored_labels(
    truth: Sequence[Collection[str]], excluded: Collection[str], at_least: int = MIN_CASES
) -> list[str]:
    """The labels with enough cases, most frequent first."""
    counts: dict[str, int] = {}
    for labels in truth:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    frequent = [label for label, count in counts.items() if count >= at_least and label not in excluded]
    return sorted(frequent, key=lambda label: (-counts[label], label))


def clinical_scores(
    named: Sequence[Collection[str]], truth: Sequence[Collection[str]], labels: Sequence[str]
) -> Clinical:
    """Compare, study by study, the labels a text names with those that are true."""
    hits, said, cases = (array.sum(axis=0).astype(int).tolist() for array in label_arrays(named, truth, labels))
    scores = {label: _score(*counts) for label, *counts in zip(labels, hits, said, cases, strict=True)}
    total = _score(sum(hits), sum(said), sum(cases))
    return Clinical(
        labels=scores,
        macro_f1=sum(score.f1 for score in scores.values()) / max(1, len(scores)),
        micro_precision=total.precision,
        micro_recall=total.recall,
        micro_f1=total.f1,
    )


def label_arrays(
    named: Sequence[Collection[str]], truth: Sequence[Collection[str]], labels: Sequence[str]
) -> tuple[Array, Array, Array]:
    """[studies, labels] of 0 and 1: rightly named, named, true."""
    said = np.asarray([[label in found for label in labels] for found in named], dtype=np.float64)
    cases = np.asarray([[label in real for label in labels] for real in truth], dtype=np.float64)
    return said * cases, said, cases


def auroc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve, by ranks, a tie counting half; .5 is chance, and where one class has no case."""
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    if np.isnan(values).any():
        raise ValueError("a score is no number")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # from 1; equal scores share their mean
    cases = int(positive.sum())
    others = len(positive) - cases
    if not cases or not others:
        return 0.5
    return float((ranks[positive].sum() - cases * (cases + 1) / 2) / (cases * others))
