"""The stage before the writing: the memory learns to tell which report the consensus would choose.

Legend: B studies, D width, C candidates. What to write is a choice by evidence and indication; how to write it is
words. A decoder that must learn the first through the second is slow, so the memory's sum learns the choice
directly, by a classifier over the teacher's candidates that is thrown away afterwards. Costs seconds an epoch,
since no word is written. Assumes lessons of a teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.models.report_model import ReportModel
from training.captions import Written, draw_told
from training.config import ReportConfig
from training.task import shuffled


class Planner(nn.Module):
    """A model's memory with the classifiers of both sections."""

    def __init__(self, model: ReportModel, candidates: Sequence[int]) -> None:
        super().__init__()
        self.memory = model.memory
        self.choices = nn.ModuleList(nn.Linear(model.config.width, count) for count in candidates)


@dataclass(frozen=True, kw_only=True)
class PlanTask:
    """Cross entropy of the teacher's choices."""

    planner: Planner
    data: Written
    config: ReportConfig

    @property
    def module(self) -> nn.Module:
        """Memory and classifiers."""
        return self.planner

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.data.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """Everything learns."""
        return [{"params": list(self.planner.parameters()), "lr": self.config.plan_rate}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Every study once."""
        return shuffled(len(self.data.ids), self.config.plan_batch, generator)

    def weight(self, index: Sequence[int]) -> float:
        """Studies count alike."""
        return float(len(index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """The cross entropies of both sections' choices."""
        whole, choices = self._plan(index, generator)
        pairs = zip(self.planner.choices, choices, strict=True)
        return torch.stack([F.cross_entropy(layer(whole), wanted) for layer, wanted in pairs]).sum()

    def _plan(self, index: Sequence[int], generator: Generator) -> tuple[Tensor, tuple[Tensor, ...]]:
        told = draw_told(self.data, index, self.config, generator)
        memory = self.planner.memory(told.maps, told.mask, told.evidence, told.indications)
        return memory["whole"], told.choices

    def judge(self, epoch: int) -> Mapping[str, float]:
        """How often the teacher's findings are chosen: the same studies, told anew."""
        generator = torch.Generator().manual_seed(epoch)
        whole, choices = self._plan(range(min(512, len(self.data.ids))), generator)
        right = (self.planner.choices[0](whole).argmax(1) == choices[0]).float().mean()
        return {"score": float(right)}
