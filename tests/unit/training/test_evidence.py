"""Evidence: as good as the head will be on unseen studies, whatever made it."""

import pytest
import torch

from pipeline.guidance import SURE
from training.clinical import auroc
from training.evidence import (
    HIGHEST,
    INDEPENDENT,
    assure,
    common_errors,
    draw_evidence,
    fit_evidence,
    separations,
)

STUDIES = 6000


def _truth(prevalence: tuple[float, ...]) -> torch.Tensor:
    chances = torch.tensor(prevalence).expand(STUDIES, -1)
    return torch.bernoulli(chances, generator=torch.Generator().manual_seed(0))


def test_drawn_evidence_tells_a_concept_as_well_as_it_was_told_to() -> None:
    wanted = {"a": 0.6, "b": 0.75, "c": 0.9}
    truth = _truth((0.3, 0.5, 0.1))
    drawn = draw_evidence(truth, separations(wanted, tuple(wanted)), torch.Generator().manual_seed(1))
    for column, value in enumerate(wanted.values()):
        assert auroc(drawn[:, column].tolist(), (truth[:, column] > 0).tolist()) == pytest.approx(value, abs=0.02)


def test_drawn_evidence_is_a_logarithm_of_likelihoods() -> None:
    """Where it says that a concept is e times as likely as before, it is."""
    truth = _truth((0.5,))
    drawn = draw_evidence(truth, torch.tensor([1.5]), torch.Generator().manual_seed(2))
    for evidence in (-1.0, 0.0, 1.0):
        near = (drawn - evidence).abs() < 0.4
        assert float(truth[near].mean()) == pytest.approx(float(torch.tensor(evidence).sigmoid()), abs=0.06)


def test_a_concept_that_the_head_cannot_see_tells_nothing() -> None:
    apart = separations({"blind": 0.5, "worse": 0.3}, ("blind", "worse"))
    assert apart.tolist() == [0.0, 0.0]
    drawn = draw_evidence(torch.tensor([[1.0, 0.0]]), apart, torch.Generator().manual_seed(0))
    assert drawn.abs().max() == 0
    scale, offset, _ = fit_evidence(torch.randn(50, 2), torch.tensor([0.2, 0.4]), apart)
    assert scale.abs().max() == offset.abs().max() == 0


def test_too_few_cases_get_the_mean_and_luck_has_a_limit() -> None:
    apart = separations({"lucky": 1.0, "blind": 0.5}, ("lucky", "blind", "rare"))
    assert apart.tolist() == pytest.approx([HIGHEST, 0.0, HIGHEST / 2])
    assert separations({}, ("rare",)).tolist() == [0.0]


def test_a_heads_logits_become_evidence_of_the_mean_and_spread_that_is_drawn() -> None:
    prevalence, apart = torch.tensor([0.1, 0.4]), torch.tensor([1.0, 2.0])
    logits = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 0.2]) + 7
    scale, offset, prior = fit_evidence(logits, prevalence, apart)
    drawn = draw_evidence(_truth((0.1, 0.4)), apart, torch.Generator().manual_seed(3))
    mapped = logits * scale + offset
    assert mapped.mean(0).tolist() == pytest.approx(drawn.mean(0).tolist(), abs=0.1)
    assert mapped.std(0).tolist() == pytest.approx(drawn.std(0).tolist(), rel=0.05)
    assert prior.sigmoid().tolist() == pytest.approx([0.1, 0.4])


def test_errors_that_go_together_are_drawn_together() -> None:
    truth, apart = _truth((0.3, 0.3, 0.3)), torch.tensor([1.5, 1.0, 0.0])
    alike = torch.linalg.cholesky(torch.tensor([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    seen = draw_evidence(truth, apart, torch.Generator().manual_seed(1), alike)
    kin = common_errors(seen, truth, apart)
    found = kin @ kin.T
    assert found.diagonal().tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert float(found[0, 1]) == pytest.approx(0.8 * (1 - INDEPENDENT), abs=0.03)
    assert found[2, :2].abs().max() == 0  # it tells nothing, so its errors cannot be known
    drawn = draw_evidence(truth, apart, torch.Generator().manual_seed(2), kin)
    assert auroc(drawn[:, 1].tolist(), (truth[:, 1] > 0).tolist()) == pytest.approx(0.76, abs=0.02)


def test_some_studies_are_told_one_concept_beyond_doubt_any_as_often() -> None:
    drawn = torch.zeros(STUDIES, 4)
    told = assure(drawn, torch.tensor([0, 1, 3]), 0.3, torch.Generator().manual_seed(3)) == SURE
    assert set(told.sum(1).tolist()) == {0, 1}
    shares = (told.float().mean(0) / 0.1).tolist()
    assert shares == pytest.approx([1.0, 1.0, 0.0, 1.0], abs=0.15)
    assert not drawn.any()
    assert assure(drawn, torch.tensor([0, 1, 3]), 0.0, torch.Generator()) is drawn
