"""The extractor agrees with people on phrases labelled by hand, also on the half it was never mended on."""

import re

import pytest

from pipeline.findings import CHEXPERT, LABELS
from pipeline.study import Polarity
from tests.findings_phrases import HALVES, Agreement, agreements, read_phrases

# Safely below what was measured (training/LOG.md): (precision, recall)
FLOORS = {
    "develop": {"all": (0.97, 0.95), "present": (0.96, 0.95), "absent": (0.96, 0.94), "uncertain": (0.94, 0.94)},
    "held": {"all": (0.93, 0.88), "present": (0.92, 0.91), "absent": (0.93, 0.89), "uncertain": (0.90, 0.75)},
}


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Agreement]]:
    phrases = {half: read_phrases(half) for half in HALVES}
    phrases["both"] = [phrase for half in HALVES for phrase in phrases[half]]
    return {half: agreements(members) for half, members in phrases.items()}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("polarity", ["all", "present", "absent", "uncertain"])
def test_the_extractor_agrees_with_people(
    half: str, polarity: str, measured: dict[str, dict[str, Agreement]]
) -> None:
    found = measured[half][polarity]
    precision, recall = FLOORS[half][polarity]
    assert found.precision >= precision
    assert found.recall >= recall


@pytest.mark.parametrize("label", sorted(set(CHEXPERT) - {"Support Devices"}))
def test_a_chexpert_label_is_read_in_at_least_two_of_three_phrases(
    label: str, measured: dict[str, dict[str, Agreement]]
) -> None:
    found = measured["both"][label]
    assert found.labelled >= 2
    assert found.precision >= 0.66
    assert found.recall >= 0.66


def test_the_phrases_are_many_short_and_labelled_by_known_names() -> None:
    phrases = [phrase for half in HALVES for phrase in read_phrases(half)]
    assert len(phrases) >= 300
    assert len({phrase.text for phrase in phrases}) == len(phrases)
    assert {label for phrase in phrases for label in phrase.said} <= set(LABELS)
    assert {len(phrase.text.split()) for phrase in phrases} <= set(range(3, 13))
    assert all(re.fullmatch(r"[\w /,'-]+", phrase.text) for phrase in phrases)
    assert {polarity for phrase in phrases for polarity in phrase.said.values()} == set(Polarity)
