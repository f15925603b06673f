"""What the training loop is given and what it gives back.

A task is anything that has batches, a loss and a judgement: concepts, captions, images, rewards. Knows no loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn


class Task(Protocol):
    """What is trained. All but `judge` is called on every rank; nothing may depend on earlier calls."""

    @property
    def module(self) -> nn.Module:
        """What is learnt: its state dict is kept, its mode switched."""

    @property
    def ids(self) -> Sequence[str]:
        """What a person calls each example."""

    def groups(self) -> Sequence[dict[str, Any]]:
        """The parameters that learn, as AdamW takes them: `{"params": [...], "lr": 1e-3}`."""

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:
        """Batches of one epoch: positions of examples."""

    def weight(self, index: Sequence[int]) -> float:
        """How much these examples count in a mean loss: their number, or their words if it is a mean of words."""

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """The mean loss of some examples; called in training mode and in mixed precision."""

    def judge(self, epoch: int) -> Mapping[str, float]:
        """Figures of the module as it stands, "score" among them: the more the better. May take long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSettings:
    """How a task is trained."""

    epochs: int
    weight_decay: float = 0.01
    warm_up: float = 0.1  # share of the run in which the rate rises
    clip: float = 5.0  # the gradients' norm
    accumulate: int = 1  # batches per update
    mixed_precision: bool = False  # on a CPU without bfloat16 many times slower
    average_decay: float | None = None  # of the moving average of the weights, which is then judged and kept
    judge_every: int = 1  # epochs
    patience: int = 0  # judgements without a better score before it ends; 0: never
    save_every: int = 200  # updates


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a run ended; the task's module is left in its best epoch."""

    best_epoch: int  # counted from 0
    best_score: float
    history: tuple[Mapping[str, float], ...]  # per epoch: "epoch", "loss" and, where judged, its figures


def shuffled(count: int, size: int, generator: Generator) -> list[list[int]]:
    """Every one of `count` examples once, in batches of `size`."""
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return [order[start : start + size] for start in range(0, count, size)]
