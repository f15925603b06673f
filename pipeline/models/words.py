"""From a decoder's output to logits over the vocabulary: the words' vectors serve at both ends."""

import torch
from torch import Tensor, nn

from pipeline.models.shape import Shape


class WordOutput(nn.Module):
    """Tied output layer: logits = x · W.T / sqrt(D) + b; without the scale the first logits are huge."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        self.scale = shape.width**-0.5

    def forward(self, output: Tensor, words: Tensor) -> Tensor:
        """[..., D] and the words' vectors [Y, D] -> logits [..., Y]."""
        logits: Tensor = output @ words.T * self.scale + self.bias
        return logits
