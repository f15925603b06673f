"""A transformer decoder: pre-norm, tied word vectors, keys and values of earlier words kept.

Legend: N rows, T new tokens, P earlier ones, M slots, D width, h heads, d = D / h, Y vocabulary. After Vaswani et
al. (arXiv 1706.03762) with the normalisation before each part (Xiong et al., arXiv 2002.04745). The state holds
keys and values of all words so far, so that a step costs one token; the memory's keys and values are made once per
study. A whole sequence is one call with an empty state. Knows ids only, no words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.decoding import State
from pipeline.models.memory import Memory
from pipeline.models.shape import Shape
from pipeline.models.words import WordOutput

LONGEST = 256  # tokens of a report, as far as positions go


def _heads(values: Tensor, heads: int) -> Tensor:
    """[N, T, D] -> [N, h, T, d]."""
    rows, length, width = values.shape
    return values.view(rows, length, heads, width // heads).transpose(1, 2)


class Layer(nn.Module):
    """Attention to earlier words, attention to the memory, and a feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.before_self, self.before_cross, self.before_feed = (nn.LayerNorm(width) for _ in range(3))
        self.self_in, self.self_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query, self.memory = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(shape.dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self,
        x: Tensor,
        earlier: tuple[Tensor, Tensor],
        memory: tuple[Tensor, Tensor],
        masks: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """[N, T, D] -> [N, T, D] and the keys and values of all words [N, h, P + T, d]."""
        query, key, value = (_heads(part, self.heads) for part in self.self_in(self.before_self(x)).chunk(3, -1))
        key, value = torch.cat([earlier[0], key], dim=2), torch.cat([earlier[1], value], dim=2)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=masks[0])
        x = x + self.dropout(self.self_out(read.transpose(1, 2).flatten(2)))
        looked = F.scaled_dot_product_attention(
            _heads(self.query(self.before_cross(x)), self.heads), *memory, attn_mask=masks[1]
        )
        x = x + self.dropout(self.cross_out(looked.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.before_feed(x))), (key, value)


class TransformerDecoder(nn.Module):
    """Memory and the words so far -> the next word."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.width = shape.heads, shape.width
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Parameter(torch.randn(LONGEST, shape.width) * 0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(shape.dropout)
        self.output = WordOutput(shape)

    def prepare(self, memory: Memory) -> Memory:
        """The memory's keys and values for each layer."""
        prepared = {"mask": memory["mask"], "whole": memory["whole"]}
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            key, value = layer.memory(memory["slots"]).chunk(2, dim=-1)
            prepared[f"key{number}"], prepared[f"value{number}"] = (
                _heads(key, self.heads),
                _heads(value, self.heads),
            )
        return prepared

    def begin(self, memory: Memory) -> State:
        """No words yet."""
        rows = len(memory["mask"])
        empty = memory["key0"].new_zeros(rows, self.heads, 0, self.width // self.heads)
        return {f"{kind}{number}": empty for number in range(len(self.layers)) for kind in ("key", "value")}

    def forward(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, Y] and the state after them."""
        past, new = state["key0"].shape[2], tokens.shape[1]
        x = self.words(tokens) + memory["whole"].unsqueeze(1) + self.positions[past : past + new]
        x = self.dropout(x)
        masks = (
            torch.ones(new, past + new, dtype=torch.bool, device=tokens.device).tril(past),
            memory["mask"][:, None, None, :],
        )
        after: State = {}
        for number, layer in enumerate(self.layers):
            earlier, seen = ((source[f"key{number}"], source[f"value{number}"]) for source in (state, memory))
            x, (after[f"key{number}"], after[f"value{number}"]) = layer(x, earlier, seen, masks)
        return self.output(self.norm(x), self.words.weight), after
