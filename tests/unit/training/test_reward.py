"""What a draft is worth: likeness as it is scored, and findings named rightly."""

import random

import pytest
from pycocoevalcap.cider.cider import Cider

from training.reward import Likeness, Truthfulness, plain_words

SENTENCES = (
    "the heart is enlarged .",
    "no effusion .",
    "the lungs are clear .",
    "there is a nodule .",
    "clear clear .",
)


def test_likeness_is_the_published_scorers_cider() -> None:
    dice = random.Random(0)
    references = [" ".join(dice.choices(SENTENCES, k=dice.randint(1, 3))) for _ in range(8)]
    candidates = [" ".join(dice.choices(SENTENCES, k=dice.randint(1, 3))) for _ in range(8)]
    truth = {number: [text] for number, text in enumerate(references)}
    _, scores = Cider().compute_score(truth, {number: [text] for number, text in enumerate(candidates)})
    likeness = Likeness(references=references)
    found = [likeness.score(text.split(), number) for number, text in enumerate(candidates)]
    assert found == pytest.approx(list(scores), abs=1e-6)
    assert max(found) > 1


def test_a_right_name_brings_and_a_wrong_one_costs() -> None:
    coded = [{"Cardiomegaly"}, {"Cardiomegaly"}, {"Nodule"}, {"normal"}, {"Cardiomegaly"}, {"Cardiomegaly"}]
    truth = Truthfulness.of(coded, at_least=1, even=0.2)
    heart, nodule = ["there", "is", "cardiomegaly", "."], ["there", "is", "a", "nodule", "."]
    assert truth.score(heart, 0) == pytest.approx(0.8)
    assert truth.score(heart, 2) == pytest.approx(-0.2)
    assert truth.score(nodule, 2) == pytest.approx(2 * 0.8), "a finding four times as rare counts twice"
    assert truth.score([*heart, *nodule], 2) == pytest.approx(2 * 0.8 - 0.2)
    assert truth.score([*heart, *heart], 0) == pytest.approx(0.8), "what is said twice is said"
    assert truth.score(["no", "nodule", "."], 2) == 0
    assert truth.score([], 0) == 0


def test_problems_with_few_cases_are_not_rewarded() -> None:
    truth = Truthfulness.of([{"Nodule"}, {"Cardiomegaly"}, {"Cardiomegaly"}], at_least=2, even=0.1)
    assert set(truth.worth) == {"Cardiomegaly"}
    assert truth.score(["there", "is", "a", "nodule", "."], 0) == 0


def test_words_are_cleaned_as_the_protocol_cleans_them() -> None:
    assert plain_words([".", ",", "x-ray", "and/or", "<pad>"]) == [".", "", "x-ray", "andor", "pad"]
