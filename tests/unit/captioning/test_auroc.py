import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.clinical import auroc


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_the_area_is_what_scikit_learn_finds_ties_included(levels: int) -> None:
    random = np.random.default_rng(levels)
    truth = random.random(300) < 0.2
    scores = random.integers(0, levels, 300) / levels + 0.2 * truth
    assert auroc(scores.tolist(), truth.tolist()) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_one_class_alone_is_chance_and_no_number_is_refused() -> None:
    assert auroc([0.1, 0.9], [True, True]) == 0.5
    with pytest.raises(ValueError, match="no number"):
        auroc([0.1, float("nan")], [True, False])
