"""Clinical scores: does the text name what is there? Per label and micro/macro precision, recall and F1.

Findings are extracted from the generated text (negation and uncertainty handled; an uncertain mention counts as
named) and compared with what people coded, and with the same extraction from the reference text. A label is scored
where it has enough cases to say anything. Assumes statements from `pipeline.findings`. Knows no text metric.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sklearn.metrics import roc_auc_score

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
    hits = dict.fromkeys(labels, 0)
    said = dict.fromkeys(labels, 0)
    cases = dict.fromkeys(labels, 0)
    for found, real in zip(named, truth, strict=True):
        for label in labels:
            hits[label] += label in found and label in real
            said[label] += label in found
            cases[label] += label in real
    scores = {label: _score(hits[label], said[label], cases[label]) for label in labels}
    total = _score(sum(hits.values()), sum(said.values()), sum(cases.values()))
    return Clinical(
        labels=scores,
        macro_f1=sum(score.f1 for score in scores.values()) / max(1, len(scores)),
        micro_precision=total.precision,
        micro_recall=total.recall,
        micro_f1=total.f1,
    )


def auroc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Area under the ROC curve; .5 is chance."""
    return float(roc_auc_score(truth, scores)) if len(set(truth)) > 1 else 0.5
