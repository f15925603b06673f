"""The stage that learns to see: the encoder's later layers and the concept head, from coded problems and words.

Legend: B studies, V views, K concepts, W words. The first layers rest and their activations come from memory. A
label that a collection cannot tell is left out of the loss, so radiographs without reports help with what they
know. Beside the concepts a second head, thrown away afterwards, learns which words the report will hold: a richer
teacher than some dozens of codes. Chooses the epoch with the best mean AUROC of the concepts on the choice split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import ViewEncoder, scatter_views
from training.captions import drop_views
from training.clinical import auroc
from training.config import ConceptConfig
from training.features import Activations, joined_activations


class Seer(nn.Module):
    """Encoder and heads, from the resting layers' activations to logits."""

    def __init__(self, encoder: ViewEncoder, head: ConceptHead, words: ConceptHead, frozen_blocks: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.words = words
        self.frozen_blocks = frozen_blocks

    def look(self, present: Tensor, mask: Tensor) -> Tensor:
        """[N, C', h', w'] and [B, V] -> feature maps [B, V, C, h, w]."""
        activations = present.contiguous(memory_format=torch.channels_last)
        return scatter_views(self.encoder.tail(activations, self.frozen_blocks), mask)

    def forward(self, present: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C', h', w'] and [B, V] -> logits of concepts [B, K] and of words [B, W]."""
        maps = self.look(present, mask)
        return self.head(maps, mask).float(), self.words(maps, mask).float()


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Activations with what is known of their studies."""

    ids: Sequence[str]
    activations: Activations
    targets: Tensor  # [M, K] of 0 and 1
    known: Tensor  # [M, K] of 0 and 1: where the target tells
    words: Tensor  # [M, W] of 0 and 1
    written: Tensor  # [M, 1] of 0 and 1: whether there is a report


def joined(parts: Sequence[Labelled]) -> Labelled:
    """Several sets as one."""
    return Labelled(
        ids=[name for part in parts for name in part.ids],
        activations=joined_activations([part.activations for part in parts]),
        targets=torch.cat([part.targets for part in parts]),
        known=torch.cat([part.known for part in parts]),
        words=torch.cat([part.words for part in parts]),
        written=torch.cat([part.written for part in parts]),
    )


def predict(seer: Seer, activations: Activations, *, size: int = 32) -> Tensor:
    """Logits [M, K] of the clean copies."""
    seer.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(activations.rows), size):
            index = range(start, min(start + size, len(activations.rows)))
            parts.append(seer(*activations.batch(index, generator=None))[0])
    return torch.cat(parts).cpu()


def aurocs(targets: Tensor, scores: Tensor, names: Sequence[str], at_least: int = 5) -> dict[str, float]:
    """AUROC of each concept with enough positives to say anything."""
    columns = [k for k in range(len(names)) if at_least <= int(targets[:, k].sum()) < len(targets)]
    return {names[k]: auroc(scores[:, k].tolist(), (targets[:, k] > 0).tolist()) for k in columns}


def rarity(targets: Tensor, known: Tensor, limit: float) -> Tensor:
    """How much more a positive counts than a negative, per label: the root of their odds, up to a limit."""
    rate = (targets * known).sum(0) / known.sum(0).clamp(min=1)
    return ((1 - rate) / rate.clamp(min=1e-4)).sqrt().clamp(max=limit)


@dataclass(frozen=True, kw_only=True)
class ConceptTask:
    """Binary cross entropy of every label that is known."""

    seer: Seer
    train: Labelled
    choice: Labelled
    names: Sequence[str]
    config: ConceptConfig

    @property
    def module(self) -> nn.Module:
        """Encoder and heads."""
        return self.seer

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.train.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """The later layers, and the heads at a rate of their own."""
        tail = self.seer.encoder.layers[self.config.frozen_blocks :].parameters()
        heads = [*self.seer.head.parameters(), *self.seer.words.parameters()]
        return [
            {"params": list(tail), "lr": self.config.learning_rate},
            {"params": heads, "lr": self.config.head_learning_rate},
        ]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Studies with reports all, radiographs without as many as told; no batch of one, which has no norm."""
        drawn = torch.rand(len(self.train.ids), generator=generator) < self.config.radiograph_share
        kept = (drawn | (self.train.written[:, 0] > 0)).nonzero().flatten()
        order = kept[torch.randperm(len(kept), generator=generator)].tolist()
        size = self.config.batch_size
        return [order[i : i + size] for i in range(0, len(order), size) if len(order) - i > 1]

    def weight(self, index: Sequence[int]) -> float:
        """Studies count alike."""
        return float(len(index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """Mean over known concepts, plus mean over words."""
        return self.cost(*self.see(index, generator), index)

    def see(self, index: Sequence[int], generator: Generator) -> tuple[Tensor, Tensor]:
        """Logits of concepts [B, K] and of words [B, W] of some studies, some views hidden."""
        views = self.train.activations.batch(index, generator=generator)
        concepts, words = self.seer(*drop_views(*views, self.config.view_dropout, generator))
        return concepts, words

    def cost(self, concepts: Tensor, words: Tensor, index: Sequence[int]) -> Tensor:
        """The loss of such logits."""
        train, rows = self.train, list(index)
        known, written = train.known[rows].to(concepts), train.written[rows].to(concepts)
        return self._mean(
            concepts, train.targets[rows], known, rarity(train.targets, train.known, 5.0)
        ) + self._mean(words, train.words[rows], written.expand_as(words), rarity(train.words, train.written, 4.0))

    def _mean(self, logits: Tensor, targets: Tensor, known: Tensor, weight: Tensor) -> Tensor:
        smoothing = self.config.label_smoothing
        smooth = targets.to(logits) * (1 - 2 * smoothing) + smoothing
        loss = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weight.to(logits), reduction="none")
        return (loss * known).sum() / known.sum().clamp(min=1)

    def judge(self, epoch: int) -> Mapping[str, float]:  # noqa: ARG002
        """Mean AUROC of the concepts with enough cases, and that of abnormal."""
        found = aurocs(self.choice.targets, predict(self.seer, self.choice.activations), self.names)
        mean = sum(found.values()) / max(1, len(found))
        return {"score": mean, "abnormal": found.get("abnormal", 0.5)}
