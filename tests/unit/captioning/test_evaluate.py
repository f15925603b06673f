"""An author's evaluation: figures, intervals, length and diversity."""

import pytest

from training.datasets import Example
from training.diversity import distinct_share, words_of
from training.drafts import Draft
from training.evaluate import judge
from training.scores import R2GenProtocol


def example(number: int, *problems: str, findings: str, impression: str) -> Example:
    return Example(
        study=str(number),
        split="val",
        frontal=None,
        lateral=None,
        findings=findings,
        impression=impression,
        problems=frozenset(problems),
        mesh=frozenset(),
    )


TRUTH = [
    *[example(n, "normal", findings="The lungs are clear.", impression="No acute disease.") for n in range(12)],
    *[
        example(n, "Cardiomegaly", findings="The heart is enlarged.", impression="Mild cardiomegaly.")
        for n in range(12, 24)
    ],
]
DRAFTS = [
    *[Draft(findings="The lungs are clear.", impression="No acute disease.", abnormal=0.1) for _ in range(12)],
    *[Draft(findings="The heart is enlarged.", impression="Cardiomegaly.", abnormal=0.9) for _ in range(6)],
    *[Draft(findings="The lungs are clear.", impression="No acute disease.", abnormal=0.2) for _ in range(6)],
]
PROTOCOL = R2GenProtocol.from_train([item.findings for item in TRUTH])


def test_every_figure_that_is_more_than_a_count_has_an_interval_around_it() -> None:
    judged = judge("model", DRAFTS, TRUTH, PROTOCOL, meteor=False)
    counts = {"distinct texts", "distinct impressions", "distinct-1", "distinct-2", "studies"}
    assert set(judged.summary) - set(judged.intervals) == counts
    for figure, (lower, upper) in judged.intervals.items():
        assert lower <= judged.summary[figure] + 1e-9, figure
        assert judged.summary[figure] - 1e-9 <= upper, figure
    assert judged.intervals["macro F1 problems"][0] < judged.intervals["macro F1 problems"][1]


def test_length_and_diversity_are_figures() -> None:
    figures = judge("model", DRAFTS, TRUTH, PROTOCOL, meteor=False).summary
    assert figures["distinct impressions"] == 2
    assert figures["normal texts"] == pytest.approx(18 / 24)
    assert figures["normal references"] == pytest.approx(0.5)
    assert figures["words"] == pytest.approx((18 * 7 + 6 * 5) / 24)
    assert figures["words of reference"] == pytest.approx((12 * 7 + 12 * 6) / 24)


def test_distinct_shares_count_different_grams_over_all() -> None:
    assert words_of("Heart is normal. Lungs, clear.") == ["heart", "is", "normal", "lungs", "clear"]
    assert distinct_share(["a b a", "a b"], 1) == pytest.approx(2 / 5)
    assert distinct_share(["a b a", "a b"], 2) == pytest.approx(2 / 3)
    assert distinct_share(["", ""], 2) == 0.0


def test_figures_against_whole_references_stand_beside_the_published_ones() -> None:
    figures = judge("model", DRAFTS, TRUTH, PROTOCOL, meteor=False).summary
    assert figures["BLEU-1 untouched"] == pytest.approx(figures["BLEU-1"])
