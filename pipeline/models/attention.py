"""The attention model: a recurrent decoder that looks again at the memory before each word.

Legend: N rows, T tokens, M slots, D width, H hidden, Y vocabulary. After the seed paper's second model (features
of both views joined, Bahdanau's additive attention, arXiv 1409.0473), with one difference: attention stands
between two recurrent layers instead of feeding back into one, so that a whole teacher-forced sequence is two calls
of the recurrent kernel and one attention, not T steps of Python; the second layer still carries what was attended
to from step to step. Knows ids only, no words.
"""

import torch
from torch import Tensor, nn

from pipeline.decoding import State
from pipeline.models.memory import Memory
from pipeline.models.shape import Shape
from pipeline.models.words import WordOutput


class AdditiveAttention(nn.Module):
    """Bahdanau's attention: score = v · tanh(W q + U m)."""

    def __init__(self, query: int, memory: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, width, bias=False)
        self.key = nn.Linear(memory, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """[N, T, Q] over [N, M, D] -> context [N, T, D] and weights [N, T, M]."""
        mixed = torch.tanh(self.query(query).unsqueeze(2) + memory["keys"].unsqueeze(1))
        scores = self.score(mixed).squeeze(-1).masked_fill(~memory["mask"].unsqueeze(1), float("-inf"))
        weights = scores.softmax(-1)
        return weights @ memory["slots"], weights


class AttentionDecoder(nn.Module):
    """Memory and the words so far -> the next word."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.words = nn.Embedding(shape.vocabulary, width)
        self.read = nn.GRU(2 * width, hidden, batch_first=True)
        self.attention = AdditiveAttention(hidden, width, width // 2)
        self.write = nn.GRU(hidden + width, hidden, batch_first=True)
        self.start = nn.Linear(width, 2 * hidden)
        self.before_words = nn.Linear(hidden + width, width)
        self.dropout = nn.Dropout(shape.dropout)
        self.output = WordOutput(shape)

    def prepare(self, memory: Memory) -> Memory:
        """Add the keys, which are the same at every step."""
        return {**memory, "keys": self.attention.key(memory["slots"])}

    def begin(self, memory: Memory) -> State:
        """The first state: what the memory says as a whole."""
        first, second = torch.tanh(self.start(memory["whole"])).chunk(2, dim=-1)
        return {"read": first, "write": second}

    def forward(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, Y] and the state after them."""
        words = self.dropout(self.words(tokens))
        whole = memory["whole"].unsqueeze(1).expand_as(words)
        read, first = self.read(torch.cat([words, whole], dim=-1), state["read"].unsqueeze(0).contiguous())
        context, _ = self.attention(read, memory)
        written, second = self.write(
            self.dropout(torch.cat([read, context], dim=-1)), state["write"].unsqueeze(0).contiguous()
        )
        output = torch.tanh(self.before_words(self.dropout(torch.cat([written, context], dim=-1))))
        return self.output(self.dropout(output), self.words.weight), {"read": first[0], "write": second[0]}
