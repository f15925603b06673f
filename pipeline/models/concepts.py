"""The concept head: which coded problems a study shows, as independent probabilities.

Legend: B studies, V views, C channels, K concepts. Pools each view (mean and maximum over positions) and adds the
views' evidence; a view that is absent adds a learnt constant instead. Knows no words.
"""

import torch
from torch import Tensor, nn


class ConceptHead(nn.Module):
    """Feature maps -> one logit per concept."""

    def __init__(self, channels: int, concepts: int, views: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        layers = [nn.Linear(2 * channels, concepts) for _ in range(views)]
        self.weights = nn.ModuleList(layers)
        self.absent = nn.Parameter(torch.zeros(views, concepts))

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """[B, V, C, h, w] and [B, V] bool -> logits [B, K]."""
        pooled = self.dropout(torch.cat([maps.mean((-2, -1)), maps.amax((-2, -1))], dim=-1))
        seen = torch.stack([layer(pooled[:, view]) for view, layer in enumerate(self.weights)], dim=1)
        return torch.where(mask.unsqueeze(-1), seen, self.absent).sum(1)
