"""What a decoder may look at: places of both views, concepts with their evidence, the words of the indication.

Legend: B studies, V views, C channels, g×g places per view, K concepts, L words of the indication, D width, M = K
+ V·g² + L slots. A memory is a dict of tensors with the studies first: `slots` [B, M, D], `mask` [B, M] and
`whole` [B, D], what it all comes to. Each source is a switch of the configuration, so that its use can be
measured. The evidence of a concept is a logarithm of likelihoods: 0 says nothing, so a concept that the head
cannot see adds nothing. The places know where they are (a learnt position per view), since "left" is not seen in a
feature. Knows no decoder.
"""

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.shape import VIEWS, Shape

Memory: TypeAlias = dict[str, Tensor]  # what is fixed for a study; every tensor has the rows first
EVIDENCE_LIMIT = 4.0  # beyond it nothing is gained by being surer
INDICATED = 16  # slots as which an indication counts; its batch's longest would make neighbours change a study


class MemoryBuilder(nn.Module):
    """Feature maps, evidence and indication -> memory."""

    def __init__(self, shape: Shape, channels: int) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self.dropout = nn.Dropout(shape.dropout)
        self.nothing = nn.Parameter(torch.randn(1, 1, width) * 0.02)  # always there: a memory is never empty
        if shape.use_image:
            self.look = nn.Linear(channels, width)
            self.look_norm = nn.LayerNorm(width)
            self.places = nn.Parameter(torch.randn(VIEWS, shape.grid**2, width) * 0.02)
        if shape.use_concepts:
            # as large as words are, or the decoder's words drown them
            self.concepts = nn.Parameter(torch.randn(shape.concepts, width))
        self.overview = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU())
        self.conclude = nn.Linear(4 * width, width)
        if shape.use_indication:
            self.words = nn.Embedding(shape.vocabulary, width // 2, padding_idx=0)
            self.read = nn.GRU(width // 2, width, batch_first=True)  # forward only: padding can't change a word

    def forward(self, maps: Tensor, mask: Tensor, evidence: Tensor, indication: Tensor) -> Memory:
        """[B, V, C, h, w], [B, V] bool, [B, K] and ids [B, L] (0 where there is none) -> memory."""
        parts = [(self.nothing.expand(len(mask), -1, -1), mask.new_ones(len(mask), 1))]
        counts = [1]
        if self.shape.use_image:
            parts.append(self._seen(maps, mask))
            counts.append(VIEWS * self.shape.grid**2)
        if self.shape.use_concepts:
            weighted = self.concepts * (evidence.clamp(-EVIDENCE_LIMIT, EVIDENCE_LIMIT) / 2).unsqueeze(-1)
            parts.append((weighted, mask.new_ones(weighted.shape[:2])))
            counts.append(self.shape.concepts)
        if self.shape.use_indication:
            parts.append(self._indicated(indication))
            counts.append(INDICATED)
        whole = torch.zeros_like(parts[0][0][:, 0])
        for part, count in zip(parts, counts, strict=True):
            whole = whole + _mean(*part) * count**0.5
        whole = whole + self.conclude(self.dropout(self.overview(whole)))
        slots, known = (torch.cat(items, dim=1) for items in zip(*parts, strict=True))
        return {"slots": slots, "mask": known, "whole": whole}

    def _seen(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        pooled = pool(maps, self.shape.grid).flatten(3).transpose(2, 3)
        seen = self.look_norm(self.look(self.dropout(pooled))) + self.places
        if not self.shape.use_both_views:
            mask = first_view(mask)
        return self.dropout(seen).flatten(1, 2), mask.repeat_interleave(self.shape.grid**2, dim=1)

    def _indicated(self, indication: Tensor) -> tuple[Tensor, Tensor]:
        known = indication != 0
        if not indication.shape[1]:
            return self.nothing.new_zeros(len(indication), 0, self.shape.width), known
        read, _ = self.read(self.dropout(self.words(indication)))
        return self.dropout(read), known


def _mean(slots: Tensor, known: Tensor) -> Tensor:
    return (slots * known.unsqueeze(-1)).sum(1) / known.sum(1, keepdim=True).clamp(min=1)


def first_view(mask: Tensor) -> Tensor:
    """The frontal alone; the lateral where there is no frontal: [B, V] bool -> [B, V] bool."""
    return mask & (mask.cumsum(1) == 1)


def pool(maps: Tensor, side: int) -> Tensor:
    """[B, V, C, h, w] -> [B, V, C, side, side]; what is pooled already stays as it is."""
    return F.adaptive_avg_pool2d(maps.flatten(0, -4), side).view(*maps.shape[:-2], side, side)
