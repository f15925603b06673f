from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.captioner import Captioner
from pipeline.checkpoint import Checkpoint
from pipeline.errors import UsageError
from pipeline.study import Dead, Outcome, Pixels, Reported, RetryLater, Skipped, Study

POISON = 255  # a study whose frontal view is all of this breaks the model in these tests


def pixels(seed: int, size: int = 64) -> Pixels:
    return np.random.default_rng(seed).integers(0, 200, (size, size), dtype=np.uint8)


def study(key: int, *, frontal: bool = True, lateral: bool = True) -> Study:
    return Study(
        key=key,
        frontal=pixels(key) if frontal else None,
        lateral=pixels(key + 1000) if lateral else None,
    )


def poisoned(key: int) -> Study:
    return Study(key=key, frontal=np.full((64, 64), POISON, dtype=np.uint8), lateral=None)


@pytest.fixture
def captioner(checkpoint: Checkpoint) -> Captioner:
    return Captioner(checkpoint, device="cpu", batch_size=4)


def break_on_poison(captioner: Captioner, monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Make the model fail whenever a poisoned study is in its batch; return the sizes of the batches it saw."""
    see: Any = captioner._model.see  # noqa: SLF001
    sizes: list[int] = []

    def fragile(views: Tensor, mask: Tensor) -> Any:
        sizes.append(len(views))
        if bool((views[:, 0] == POISON).all((1, 2)).any()):
            raise error
        return see(views, mask)

    monkeypatch.setattr(captioner._model, "see", fragile)  # noqa: SLF001
    return sizes


def texts(outcomes: list[Outcome]) -> list[str]:
    return [outcome.report.findings for outcome in outcomes if isinstance(outcome, Reported)]


def test_every_study_gets_its_outcome_in_order(captioner: Captioner) -> None:
    outcomes = captioner.caption([study(n, lateral=n % 2 == 0) for n in range(7)])
    assert [outcome.key for outcome in outcomes] == list(range(7))
    for outcome in outcomes:
        assert isinstance(outcome, Reported)
        assert outcome.report.findings
        assert outcome.report.impression
        assert outcome.report.confidence < 0
        assert set(outcome.report.concepts) == {"abnormal", "Cardiomegaly"}
    assert captioner.caption([]) == []


def test_a_report_does_not_depend_on_its_neighbours(captioner: Captioner) -> None:
    studies = [study(n, lateral=n % 3 > 0) for n in range(6)]
    together = captioner.caption(studies)
    alone = [captioner.caption([one])[0] for one in studies]
    assert texts(together) == texts(alone)
    for left, right in zip(together, alone, strict=True):
        assert isinstance(left, Reported)
        assert isinstance(right, Reported)
        assert left.report.confidence == pytest.approx(right.report.confidence, abs=1e-5)


def test_an_absent_view_is_not_a_black_view(captioner: Captioner) -> None:
    black = np.zeros((64, 64), dtype=np.uint8)
    outcomes = captioner.caption(
        [Study(key=1, frontal=pixels(1), lateral=None), Study(key=2, frontal=pixels(1), lateral=black)]
    )
    first, second = (outcome.report.concepts for outcome in outcomes if isinstance(outcome, Reported))
    assert first != second


def test_a_study_without_a_needed_view_is_skipped_by_name(captioner: Captioner) -> None:
    outcomes = captioner.caption([study(1, frontal=False), study(2, frontal=False, lateral=False), study(3)])
    assert outcomes[0] == Skipped(key=1, reason="tiny 7 needs a frontal view; the study has 1 lateral")
    assert outcomes[1] == Skipped(key=2, reason="tiny 7 needs a frontal view; the study has no usable view")
    assert isinstance(outcomes[2], Reported)


def test_one_bad_study_does_not_sink_its_neighbours(captioner: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = break_on_poison(captioner, monkeypatch, RuntimeError("bad luck\nand more"))
    outcomes = captioner.caption([study(0), study(1), poisoned(2), study(3)])
    assert [type(outcome) for outcome in outcomes] == [Reported, Reported, Dead, Reported]
    assert outcomes[2] == Dead(key=2, reason="tiny 7 failed on this study alone: RuntimeError: bad luck")
    assert sizes == [4, 2, 2, 1, 1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_study_that_does_not_fit_is_retried_later(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    break_on_poison(captioner, monkeypatch, error)
    outcomes = captioner.caption([study(0), poisoned(1)])
    assert isinstance(outcomes[0], Reported)
    assert isinstance(outcomes[1], RetryLater)
    assert outcomes[1].reason.startswith("out of memory on cpu: ")


def test_a_view_of_another_size_is_dead_with_a_reason(captioner: Captioner) -> None:
    (outcome,) = captioner.caption([Study(key=5, frontal=pixels(1, size=32), lateral=None)])
    assert isinstance(outcome, Dead)
    assert "uint8[32, 32], the model needs uint8[64, 64]" in outcome.reason


def test_figures_that_overflow_are_dead(captioner: Captioner) -> None:
    with torch.no_grad():
        captioner._model.get_parameter("decoder.output.bias").fill_(float("nan"))  # noqa: SLF001
    (outcome,) = captioner.caption([study(1)])
    assert isinstance(outcome, Dead)
    assert "confidence of nan" in outcome.reason


def test_a_gpu_that_is_not_there_is_a_usage_error(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="'cuda' was asked for, but torch finds no GPU; use"):
        Captioner(checkpoint, device="cuda")


def test_a_captioner_says_what_it_runs_on(captioner: Captioner) -> None:
    assert (captioner.device_name, captioner.driver, captioner.dtype) == ("cpu", "", "float32")
    assert captioner.decoding["beams"] == 2
