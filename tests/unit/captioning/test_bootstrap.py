"""The vectorised figures are the libraries' own, and their intervals cover what they should."""

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from training.bootstrap import (
    auroc_of,
    bleu_of,
    draw_weights,
    intervals,
    macro_f1_of,
    mean_of,
    micro_f1_of,
    whole,
)
from training.clinical import auroc, clinical_scores, label_arrays
from training.grams import ORDERS
from training.scores import corpus_overlap, ngram_counts, seed_overlap

TEXTS = ["heart size is normal . lungs are clear .", "mild cardiomegaly . no effusion is seen .", "no", ""]
TRUTHS = [
    "the heart is normal . the lungs are clear .",
    "mild cardiomegaly . no effusion .",
    "no disease .",
    "clear .",
]


def test_a_draw_takes_as_many_studies_as_there_are() -> None:
    weights = draw_weights(7, draws=50)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.max() > 1


def test_bleu_of_any_draw_is_that_of_the_texts_drawn() -> None:
    counts = ngram_counts(TEXTS, TRUTHS)
    drawn = [0, 0, 1, 3]
    weights = np.array([[2.0, 1.0, 0.0, 1.0]])
    truths = {n: [TRUTHS[row]] for n, row in enumerate(drawn)}
    texts = {n: [TEXTS[row]] for n, row in enumerate(drawn)}
    expected, _ = Bleu(ORDERS).compute_score(truths, texts, verbose=0)
    assert [bleu_of(counts, n + 1)(weights)[0] for n in range(ORDERS)] == pytest.approx(expected)


def test_every_overlap_statistic_gives_its_figure() -> None:
    for overlap in (corpus_overlap(TEXTS, TRUTHS, meteor=False), seed_overlap(TEXTS, TRUTHS)):
        assert {name: whole(statistic, len(TEXTS)) for name, statistic in overlap.statistics.items()} == (
            pytest.approx(overlap.scores)
        )


def test_f1_statistics_give_the_clinical_scores() -> None:
    named = [{"a"}, {"a", "b"}, set(), {"c"}]
    truth = [{"a"}, {"b"}, {"a"}, set()]
    arrays = label_arrays(named, truth, ["a", "b", "c"])
    scores = clinical_scores(named, truth, ["a", "b", "c"])
    assert whole(macro_f1_of(*arrays), 4) == pytest.approx(scores.macro_f1)
    assert whole(micro_f1_of(*arrays), 4) == pytest.approx(scores.micro_f1)


def test_auroc_counts_equal_scores_half_and_knows_weights() -> None:
    scores, truth = [0.3, 0.1, 0.3, 0.8, 0.2], [True, False, False, True, True]
    assert whole(auroc_of(scores, truth), 5) == pytest.approx(auroc(scores, truth))
    drawn = [0, 0, 1, 2, 4]
    weights = np.array([[2.0, 1.0, 1.0, 0.0, 1.0], [5.0, 0.0, 0.0, 0.0, 0.0]])
    expected = auroc([scores[i] for i in drawn], [truth[i] for i in drawn])
    assert auroc_of(scores, truth)(weights).tolist() == pytest.approx([expected, 0.5])


def test_an_interval_of_a_mean_is_the_textbook_one() -> None:
    scores = np.random.default_rng(3).normal(10, 2, size=400)
    lower, upper = intervals({"mean": mean_of(scores)}, 400)["mean"]
    half = 1.96 * scores.std() / 20
    assert lower == pytest.approx(scores.mean() - half, abs=0.05)
    assert upper == pytest.approx(scores.mean() + half, abs=0.05)


def test_a_shifted_mean_keeps_its_width() -> None:
    plain, moved = intervals({"a": mean_of([1, 2, 3, 4]), "b": mean_of([1, 2, 3, 4], 0.5)}, 4).values()
    assert np.subtract(moved, plain).tolist() == pytest.approx([0.5, 0.5])
