from collections import Counter

import pytest

from pipeline.errors import UsageError
from pipeline.problems import problems_in
from pipeline.splits import SHARES, split_of


def test_a_patient_stays_where_they_are_and_shares_are_kept() -> None:
    drawn = Counter(split_of(f"patient {number}") for number in range(5000))
    assert all(abs(drawn[name] / 5000 - share) < 0.02 for name, share in SHARES.items())
    drawn_first = [split_of(f"patient {number}") for number in range(7)]
    assert drawn_first == ["train", "val", "val", "train", "train", "train", "val"]


def test_shares_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(UsageError, match="do not sum to 1"):
        split_of("a", {"train": 0.5, "val": 0.4})


def test_a_text_gives_problems_in_the_coders_words() -> None:
    found = problems_in("Low lung volumes. No pneumothorax. Possible left basilar opacity.", "")
    assert found.problems == {"Lung", "Opacity"}
    assert "Lung/hypoinflation" in found.mesh
    assert problems_in("The heart size is normal.", "").problems == {"normal"}
