"""The stage after the writing: the memory learns how likely each problem is, all things taken together.

Legend: B studies, P problems. One concept's evidence tells something of another, and an indication of many; the
teacher weighs both by the reports at hand (`training.consensus.Archive.expect`), a model has none. So a linear map
of the memory's sum, which rests from here on, learns what the teacher adds to each concept's own evidence.
Guidance decides by it what a draft tells. Assumes lessons of a teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.models.report_model import ReportModel
from training.captions import Told, Written, draw_told
from training.config import ReportConfig
from training.task import shuffled

RATE = 1e-2  # of learning: one linear map, from nothing


@dataclass(frozen=True, kw_only=True)
class BeliefTask:
    """Cross entropy of the teacher's chances."""

    model: ReportModel
    data: Written
    places: Tensor  # [P] where each problem stands among the concepts
    config: ReportConfig

    @property
    def module(self) -> nn.Module:
        """The linear map alone."""
        return self.model.beliefs

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.data.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """The linear map alone."""
        return [{"params": list(self.model.beliefs.parameters()), "lr": RATE}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Every study once."""
        return shuffled(len(self.data.ids), self.config.plan_batch, generator)

    def weight(self, index: Sequence[int]) -> float:
        """Studies count alike."""
        return float(len(index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """Mean over studies and problems."""
        told = draw_told(self.data, index, self.config, generator)
        return F.binary_cross_entropy_with_logits(self._expected(told), self._wanted(told))

    def judge(self, epoch: int) -> Mapping[str, float]:
        """How near the chances are to the teacher's: the same studies, told anew."""
        generator = torch.Generator().manual_seed(epoch)
        told = draw_told(self.data, range(min(512, len(self.data.ids))), self.config, generator)
        with torch.inference_mode():
            apart = (self._expected(told).sigmoid() - self._wanted(told)).abs().mean()
        return {"score": -float(apart)}

    def _expected(self, told: Told) -> Tensor:
        self.model.eval()  # the memory rests
        with torch.no_grad():
            memory = told.memory(self.model)
        return self.model.expect(told.evidence, memory)[:, self.places.to(told.evidence.device)]

    def _wanted(self, told: Told) -> Tensor:
        assert told.expected is not None  # a teacher's lessons have it
        return told.expected
