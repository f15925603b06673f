"""A task that trains in milliseconds and draws from every source of randomness; and a process that trains it.

`python -m tests.tiny_task FOLDER NOISE PAUSE` trains it to the end, with a pause in each batch (to be killed in).
"""

import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from training.distribution import joined
from training.loop import run
from training.task import LoopSettings

STUDIES, LENGTH = 26, 5  # in batches of 5 one is left over
SETTINGS = LoopSettings(epochs=6, average_decay=0.9, accumulate=2, save_every=3, judge_every=2)


class Reader(nn.Module):
    """Tells from a sequence of numbers what they add up to."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.first = nn.Linear(LENGTH, 8)
        self.norm = nn.BatchNorm1d(8) if noise else nn.Identity()
        self.dropout = nn.Dropout(noise)
        self.out = nn.Linear(8, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        """[B, T] -> [B]."""
        told: Tensor = self.out(self.dropout(self.norm(self.first(numbers).tanh())))[:, 0]
        return told


class TinyTask:
    """Learns sums; `noise` is the share of what is dropped, added and left out."""

    def __init__(self, *, noise: float, pause: float = 0.0, broken: int | None = None) -> None:
        torch.manual_seed(0)
        self.module = Reader(noise)
        self.ids = [f"study-{number}" for number in range(STUDIES)]
        self.noise, self.pause, self.broken = noise, pause, broken
        self.numbers = torch.randn(STUDIES, LENGTH, generator=Generator().manual_seed(1))

    def groups(self) -> Sequence[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "lr": 0.02}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:
        order = torch.randperm(STUDIES, generator=generator).tolist()
        return [order[start : start + 5] for start in range(0, len(order) - round(20 * self.noise), 5)]

    def weight(self, index: Sequence[int]) -> float:
        return len(index)

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        if self.pause:
            time.sleep(self.pause)
        numbers = self.numbers[list(index)]
        common = torch.from_numpy(np.random.randn(len(index), LENGTH))  # noqa: NPY002 - the common source is meant
        own = torch.randn(numbers.shape, generator=generator)
        noisy = numbers + self.noise * (own + common.float() + random.random())
        loss: Tensor = (self.module(noisy) - numbers.sum(1)).square().mean()
        return loss * float("nan") if self.broken in index else loss

    def judge(self, epoch: int) -> Mapping[str, float]:
        torch.rand(epoch + 1)  # what judging draws must change nothing
        error = (self.module(self.numbers) - self.numbers.sum(1)).square().mean()
        return {"score": -float(error)}


def main(folder: Path, *, noise: float = 0.2, pause: float = 0.0) -> None:
    """Train to the end, alone or with the other ranks, and keep the weights; without noise in full precision."""
    torch.set_num_threads(1)
    task = TinyTask(noise=noise, pause=pause)
    with joined() as ranks:
        settings = replace(SETTINGS, mixed_precision=noise > 0)
        run(task, settings, seed=3, folder=folder, name="tiny", facts={"data": "as ever"})
        if ranks.first:
            torch.save(task.module.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), noise=float(sys.argv[2]), pause=float(sys.argv[3]))
