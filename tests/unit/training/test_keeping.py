"""What a run leaves on disk and on the screen."""

import json
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from training.checkpointing import read_state, write_state
from training.history import History, open_board
from training.progress import Moment, progress_shown

MOMENT = Moment(epoch=0, epochs=3, batch=4, batches=9, loss=0.5, best=0.25)


class FakeBoard:
    """Remembers its points."""

    def __init__(self) -> None:
        self.points: list[tuple[str, float, int]] = []
        self.closed = False

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.points.append((tag, scalar_value, global_step))

    def close(self) -> None:
        self.closed = True


def test_a_state_is_whole_or_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cpu = tmp_path / "a.state", torch.device("cpu")
    assert read_state(path, {}, cpu) is None
    write_state(path, {"facts": {"seed": 1}, "weights": torch.ones(2)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_state(path, {"facts": {"seed": 2}, "weights": torch.zeros(2)})
    state = read_state(path, {"seed": 1}, cpu)
    assert state is not None
    assert torch.equal(state["weights"], torch.ones(2))


def test_lines_after_the_last_state_are_cut_off(tmp_path: Path) -> None:
    path, board = tmp_path / "a.jsonl", FakeBoard()
    first = History(path, size=0, board=None)
    first.add(1, {"update": 1, "epoch": 0, "loss": 0.5})
    size = first.keep()
    first.add(2, {"update": 2, "epoch": 0, "loss": 0.4})
    first.close()
    second = History(path, size=size, board=board)
    second.add(2, {"update": 2, "epoch": 0, "loss": 0.3})
    second.add(2, {"epoch": 0, "loss": 0.4, "score": 1.5})
    second.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.5, 0.3, 0.4]
    assert board.points == [("update/loss", 0.3, 2), ("epoch/loss", 0.4, 2), ("epoch/score", 1.5, 2)]
    assert board.closed


def test_without_tensorboard_there_is_no_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert open_board(tmp_path, 0) is None


def test_a_log_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr("training.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with caplog.at_level("INFO"), progress_shown("captions", quietly=False) as show:
        for _ in range(3):
            show(MOMENT)
    assert caplog.messages == ["captions: epoch 1 of 3, batch 4 of 9, loss 0.5000"]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = partial(Console, force_terminal=True, width=120)
    monkeypatch.setattr("training.progress.Console", terminal)
    with progress_shown("captions", quietly=False) as show:
        show(MOMENT)
    assert "captions epoch 1/3 loss 0.5000 best 0.2500" in capsys.readouterr().err
    with progress_shown("captions", quietly=True) as show:
        show(MOMENT)
    assert capsys.readouterr().err == ""
