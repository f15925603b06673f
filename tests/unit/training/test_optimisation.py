from copy import deepcopy
from unittest.mock import patch

import pytest
import torch
from torch import nn

from training.optimisation import Optimiser, rate_factor


def _optimiser(model: nn.Module, *, clip: float = 5.0, mixed: bool = False) -> Optimiser:
    groups = [{"params": list(model.parameters()), "lr": 0.1}]
    return Optimiser(groups, weight_decay=0.0, warm_up=0.1, clip=clip, mixed=mixed)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    assert rate_factor(0.05, 0.1) == pytest.approx(0.5)
    assert rate_factor(0.1, 0.1) == pytest.approx(1.0)
    assert rate_factor(0.55, 0.1) == pytest.approx(0.5)
    assert rate_factor(1.0, 0.1) == pytest.approx(0.0)
    assert rate_factor(0.0, 0.0) == pytest.approx(1.0)
    assert rate_factor(0.0, 0.1) > 0


def test_each_group_keeps_its_share_of_the_rate() -> None:
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.01}]
    optimiser = Optimiser(groups, weight_decay=0.0, warm_up=0.1, clip=5.0, mixed=False)
    optimiser.gather((first + second).sum())
    optimiser.apply(0.1)
    assert [group["lr"] for group in optimiser.adamw.param_groups] == pytest.approx([0.1, 0.01])
    assert float(1 - first[0].detach()) == pytest.approx(0.1, rel=1e-3)
    assert float(1 - second[0].detach()) == pytest.approx(0.01, rel=1e-3)


def test_a_steep_gradient_is_clipped_and_its_norm_told() -> None:
    model = nn.Linear(4, 1, bias=False)
    optimiser = _optimiser(model, clip=1.0)
    optimiser.gather((model.weight * 100).sum())
    with patch.object(optimiser.adamw, "step", lambda: None):
        assert float(optimiser.apply(0.5)) == pytest.approx(200.0)
    optimiser.fill()
    assert model.weight.grad is not None
    assert float(model.weight.grad.abs().max()) == 0.0


def test_half_precision_leaves_out_the_steps_that_overflow() -> None:
    model = nn.Linear(4, 1)
    with patch("training.optimisation.reduced_type", lambda _: torch.float16):
        optimiser = _optimiser(model, mixed=True)
    before = model.weight.detach().clone()
    with optimiser.precision():
        seen = model(torch.ones(2, 4))
        assert seen.dtype is torch.float16
    optimiser.gather(seen.float().sum() * 1e34)  # with its scale beyond what fits
    assert float(optimiser.apply(0.5)) == 0.0
    assert torch.equal(model.weight, before)
    scale = optimiser.state_dict()["scaler"]["scale"]
    assert scale == 32768.0
    optimiser.gather(model(torch.ones(2, 4)).sum())
    assert float(optimiser.apply(0.5)) > 0
    assert not torch.equal(model.weight, before)


def test_its_state_goes_with_the_run() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    first = _optimiser(model)
    for _ in range(2):
        first.gather(model(torch.ones(2, 4)).square().sum())
        first.apply(0.3)
    twin = nn.Linear(4, 1)
    twin.load_state_dict(model.state_dict())
    second = _optimiser(twin)
    second.load_state_dict(deepcopy(first.state_dict()))
    for optimiser, one in ((first, model), (second, twin)):
        optimiser.gather(one(torch.ones(2, 4)).square().sum())
        optimiser.apply(0.6)
    assert torch.equal(model.weight, twin.weight)
