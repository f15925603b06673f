"""The stage that learns from its own drafts: what scores better than its siblings becomes likelier.

Legend: B studies, S drafts of each, N = B·S rows, T tokens. Self-critical sequence training (Rennie et al., arXiv
1612.00563) with the mean of the other drafts as the baseline (Luo, arXiv 2003.09971). Both sections are rewarded
apart, so that a bad impression does not spoil good findings. Cross entropy stays as a small part of the loss,
against drafts that please the reward and nobody else. Assumes a model that writes already.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.decoding import Tokens, sample
from pipeline.manifest import DecodingSettings
from pipeline.models.report_model import ReportModel
from training.captions import CaptionTask, Written, draw_lesson, writing_parameters
from training.config import RewardConfig
from training.task import shuffled

Score = Callable[[Sequence[int], int], float]  # ids of a section and the study's number -> reward


def _rest(model: nn.Module) -> None:
    """No dropout, it would make the drafts another model's; a GPU's recurrent layers must be in training mode."""
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.train()


@dataclass(frozen=True, kw_only=True)
class SelfCriticalTask:
    """Policy gradient on sampled drafts."""

    captions: CaptionTask
    config: RewardConfig
    tokens: Tokens
    decoding: DecodingSettings
    scores: tuple[Score, Score]  # of findings and impression

    @property
    def model(self) -> ReportModel:
        """The model that writes."""
        return self.captions.model

    @property
    def module(self) -> nn.Module:
        """The whole model, though only a part learns."""
        return self.model

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.captions.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """All but encoder and head."""
        return [{"params": writing_parameters(self.model), "lr": self.config.learning_rate}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Every study once."""
        return shuffled(len(self.data.ids), self.config.batch_size, generator)

    @property
    def data(self) -> Written:
        """What was written."""
        return self.captions.data

    def weight(self, index: Sequence[int]) -> float:
        """Studies count alike."""
        return float(len(index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """Policy gradient plus a share of cross entropy."""
        _rest(self.model)
        memory, _ = draw_lesson(self.model, self.data, index, self.captions.config, generator)
        drafts = self.config.drafts
        memory = {key: value.repeat_interleave(drafts, 0) for key, value in memory.items()}
        with torch.no_grad():
            sampled = sample(self.model, memory, self.tokens, self.decoding, generator)
        numbers = [number for number in index for _ in range(drafts)]
        advantage = self._advantages(sampled, numbers).to(sampled.device)
        written = torch.cat([torch.full_like(sampled[:, :1], self.tokens.bos), sampled], dim=1)
        logits = self.model.read(written[:, :-1], memory).float()
        chosen = -F.cross_entropy(logits.transpose(1, 2), sampled, reduction="none")
        free = (sampled != self.tokens.pad) & (sampled != self.tokens.findings)
        policy = -(advantage * chosen * free).sum() / free.sum()
        self.model.train()
        if not self.config.cross_entropy:
            return policy
        return policy + self.config.cross_entropy * self.captions.loss(index, generator)

    def _advantages(self, sampled: Tensor, numbers: Sequence[int]) -> Tensor:
        """[N, T]: how much better each section is than its siblings'."""
        rows = [self._split(row) for row in sampled.tolist()]
        rewards = torch.tensor(
            [
                [score(row[part], number) for part, score in enumerate(self.scores)]
                for row, number in zip(rows, numbers, strict=True)
            ]
        ).view(-1, self.config.drafts, 2)
        others = (rewards.sum(1, keepdim=True) - rewards) / (self.config.drafts - 1)
        better = (rewards - others).view(-1, 2)
        better = better / better.std(0).clamp(min=1e-3)
        second = (sampled == self.tokens.impression).cumsum(1)
        second = torch.cat(
            [torch.zeros_like(second[:, :1]), second[:, :-1]], dim=1
        )  # the section's mark ends the first
        return better.gather(1, second.cpu().clamp(max=1))

    def _split(self, row: list[int]) -> tuple[list[int], list[int]]:
        body = [token for token in row if token not in (self.tokens.pad, self.tokens.findings, self.tokens.eos)]
        if self.tokens.impression not in body:
            return body, []
        middle = body.index(self.tokens.impression)
        return body[:middle], body[middle + 1 :]

    def judge(self, epoch: int) -> Mapping[str, float]:  # noqa: ARG002
        """Drafts of the choice split, scored."""
        return self.captions.judged()
