"""Measures of all pairs at once, against those that reports are scored with."""

import random

import pytest
from pycocoevalcap.cider.cider import Cider

from training.grams import BLEU_WEIGHTS, Vectors, cider, overlap, sentence_bleu
from training.scores import sentence_bleu as scored_bleu

WORDS = [f"word{number}" for number in range(14)]


def texts(count: int, seed: int) -> list[str]:
    """No word twice in a text, so that nothing is clipped."""
    dice = random.Random(seed)
    return [" ".join(dice.sample(WORDS, dice.randint(4, 9))) for _ in range(count)]


def test_ciders_of_pairs_are_those_of_the_published_scorer() -> None:
    references, candidates = texts(9, 0), texts(9, 1)
    candidates[3] = references[3]
    truth = {number: [text] for number, text in enumerate(references)}
    _, scores = Cider().compute_score(truth, {number: [text] for number, text in enumerate(candidates)})
    assert cider(candidates, references).diagonal().tolist() == pytest.approx(list(scores), abs=2e-3)


def test_bleus_of_pairs_are_the_seed_papers() -> None:
    references, candidates = texts(7, 2), texts(5, 3)
    candidates[0] = references[0]
    found = sentence_bleu(candidates, references)
    for row, candidate in enumerate(candidates):
        for column, reference in enumerate(references):
            pair = candidate.split(), reference.split()
            scores = [scored_bleu(*pair, order, weight) for order, weight in BLEU_WEIGHTS.items()]
            expected = (4 * scores[0] + sum(scores[1:])) / 7
            assert float(found[row, column]) == pytest.approx(expected, abs=1e-5), (candidate, reference)


def test_overlap_is_the_f1_of_words_and_pairs() -> None:
    found = overlap(["a b c d"], ["a b c d", "e f", "a b x y"])
    assert found[0].tolist() == pytest.approx([1.0, 0.0, (4 / 8 + 2 / 6) / 2])


def test_indications_that_share_rare_words_are_alike() -> None:
    told = [["chest", "pain"], ["chest", "pain"], ["chest", "cough"], ["chest", "cough"], ["chest", "once"]]
    vectors = Vectors.of(told)
    assert ("once",) not in vectors.numbers
    dense = vectors.dense([*told, ["never", "heard"], []])
    assert dense.norm(dim=1).tolist() == pytest.approx([1, 1, 1, 1, 1, 0, 0])
    alike = dense @ dense.T
    assert float(alike[0, 1]) == pytest.approx(1.0)
    assert float(alike[0, 2]) < 0.5
