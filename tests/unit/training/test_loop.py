import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from pipeline.errors import UsageError
from tests.tiny_task import SETTINGS, TinyTask
from training.curve import NotFinite
from training.loop import run
from training.task import LoopSettings, Result


def _train(task: TinyTask, folder: Path, settings: LoopSettings = SETTINGS, seed: int = 3) -> Result:
    return run(task, settings, seed=seed, folder=folder, name="tiny", facts={"data": "as ever"})


def _lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "tiny.jsonl").read_text().splitlines()]


class Scripted(TinyTask):
    """Is judged as a script says."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__(noise=0.0)
        self.scores = scores
        self.seen: list[dict[str, torch.Tensor]] = []

    def judge(self, epoch: int) -> Mapping[str, float]:
        self.seen.append({key: value.clone() for key, value in self.module.state_dict().items()})
        assert not self.module.training
        assert not torch.is_grad_enabled()
        return {"score": self.scores[epoch], "other": 1.0}


class Interrupted(TinyTask):
    """Stops in the middle of an epoch."""

    left = 0

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().loss(index, generator)


def test_training_lowers_the_loss_and_writes_its_curve(tmp_path: Path) -> None:
    result = _train(TinyTask(noise=0.0), tmp_path, replace(SETTINGS, epochs=12, judge_every=1, average_decay=0.5))
    losses = [epoch["loss"] for epoch in result.history]
    assert losses[-1] < losses[0] / 2
    assert result.best_score == max(epoch["score"] for epoch in result.history)
    lines = _lines(tmp_path)
    assert [line for line in lines if "update" not in line] == list(result.history)
    updates = [line for line in lines if "update" in line]
    assert [line["update"] for line in updates] == list(range(1, 12 * 3 + 1))  # 6 batches, 2 together
    assert max(line["rate"] for line in updates) == pytest.approx(0.02, rel=0.05)
    assert updates[0]["rate"] < 0.005
    assert updates[-1]["rate"] < 0.001


def test_the_best_epoch_is_kept_with_the_weights_that_were_judged(tmp_path: Path) -> None:
    task = Scripted([0.1, 0.5, 0.3, math.nan])
    result = _train(task, tmp_path, LoopSettings(epochs=4, average_decay=0.9))
    assert (result.best_epoch, result.best_score) == (1, 0.5)
    kept = task.module.state_dict()
    assert all(torch.equal(value, task.seen[1][key]) for key, value in kept.items())
    assert not torch.equal(kept["out.weight"], task.seen[3]["out.weight"])


def test_it_ends_when_the_score_no_longer_rises(tmp_path: Path) -> None:
    result = _train(Scripted([0.1, 0.5, 0.5, 0.4, 0.9]), tmp_path, LoopSettings(epochs=5, patience=2))
    assert len(result.history) == 4
    assert result.best_epoch == 1


def test_the_averaged_weights_are_judged_and_training_goes_on_with_its_own(tmp_path: Path) -> None:
    plain, averaged = Scripted([0.0] * 3), Scripted([0.0] * 3)
    settings = LoopSettings(epochs=3)
    first = _train(plain, tmp_path / "plain", settings)
    second = _train(averaged, tmp_path / "averaged", replace(settings, average_decay=0.99))
    assert [epoch["loss"] for epoch in first.history] == [epoch["loss"] for epoch in second.history]
    assert not torch.equal(plain.seen[2]["out.weight"], averaged.seen[2]["out.weight"])


def test_gathered_batches_are_as_one_large_batch(tmp_path: Path) -> None:
    class Halves(TinyTask):
        def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:
            whole = super().epoch(number, generator)
            return [part for index in whole for part in (index[:1], index[1:])]

    plain = LoopSettings(epochs=2)
    whole = _train(TinyTask(noise=0.0), tmp_path / "whole", plain)
    halves = _train(Halves(noise=0.0), tmp_path / "halves", replace(plain, accumulate=2))
    losses = [epoch["loss"] for epoch in whole.history]
    assert [epoch["loss"] for epoch in halves.history] == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("batches", [6, 11, 23])  # within an epoch, and just before its end
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path, batches: int) -> None:
    whole = TinyTask(noise=0.2)
    _train(whole, tmp_path / "whole")
    broken = Interrupted(noise=0.2)
    broken.left = batches
    with pytest.raises(KeyboardInterrupt):
        _train(broken, tmp_path / "broken")
    again = TinyTask(noise=0.2)
    torch.nn.init.zeros_(again.module.out.weight)  # another beginning, which the state replaces
    _train(again, tmp_path / "broken")
    assert _lines(tmp_path / "broken") == _lines(tmp_path / "whole")
    kept = again.module.state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in whole.module.state_dict().items())


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    task = TinyTask(noise=0.2)
    result = _train(task, tmp_path)
    again = Interrupted(noise=0.2)
    again.left = 1
    assert _train(again, tmp_path) == result
    kept = again.module.state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in task.module.state_dict().items())


def test_a_run_under_other_facts_is_refused_with_what_differs(tmp_path: Path) -> None:
    _train(TinyTask(noise=0.0), tmp_path)
    with pytest.raises(UsageError, match=r"seed was 3 and is 4; .*delete .*tiny\.state to begin anew"):
        _train(TinyTask(noise=0.0), tmp_path, seed=4)
    with pytest.raises(UsageError, match=r"clip was 5\.0 and is 1\.0"):
        _train(TinyTask(noise=0.0), tmp_path, replace(SETTINGS, clip=1.0))
    with pytest.raises(UsageError, match="architecture was"):
        _train(TinyTask(noise=0.2), tmp_path)
    with pytest.raises(UsageError, match="data was 'as ever' and is None"):
        run(TinyTask(noise=0.0), SETTINGS, seed=3, folder=tmp_path, name="tiny")
    (tmp_path / "tiny.state").write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="damaged; delete it to begin anew"):
        _train(TinyTask(noise=0.0), tmp_path)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_examples(tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match=r"loss is not finite in epoch 1, batch \d+; its examples are named in"):
        _train(TinyTask(noise=0.0, broken=17), tmp_path)
    told = json.loads((tmp_path / "tiny.stopped.json").read_text())
    assert "study-17" in told["examples"]
    assert len(told["examples"]) <= 10
    assert told["epoch"] == 0
    state = tmp_path / "tiny.state"
    if state.exists():
        kept = torch.load(state, weights_only=True)["module"]
        assert all(bool(value.isfinite().all()) for value in kept.values())


def test_a_gradient_that_is_no_number_is_found_too(tmp_path: Path) -> None:
    class Steep(TinyTask):
        def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
            return (super().loss(index, generator) * 0).sqrt()

    with pytest.raises(NotFinite, match="the gradient is not finite in epoch 1, batch 2"):
        _train(Steep(noise=0.0), tmp_path)


def test_an_epoch_without_batches_is_a_usage_error(tmp_path: Path) -> None:
    class Empty(TinyTask):
        def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:
            return []

    with pytest.raises(UsageError, match="epoch 1 of tiny has no batch"):
        _train(Empty(noise=0.0), tmp_path)
