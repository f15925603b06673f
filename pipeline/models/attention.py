"""The attention model: a CNN over two views, additive attention over what it saw, a recurrent decoder.

Legend: B studies, V views, P = grid² places per view, K concepts, M = 1 + K + V·P memory slots, T tokens, D
width, N rows. After the attention model for chest X-ray captioning (features of both views joined, Bahdanau
attention, recurrent decoder), with three differences, each for a reason:
- The memory also holds the concepts (coded problems) that a head found, since the decoder alone writes the prior:
  a normal report. Concepts above their threshold are slots of the memory and part of the first state.
- Attention stands between two recurrent layers instead of feeding back into one. A whole teacher-forced sequence
  is then two calls of the recurrent kernel and one attention, not T steps of Python; the second layer still
  carries what was attended to from step to step.
- The memory slots know where they are (a learnt position per view), since "left" is not seen in a feature. Knows
  ids only, no words. The interface is `decoding.Captioning`: any other model with it can take its place.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.decoding import Memory, State
from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import EncoderConfig, ViewEncoder

VIEWS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionConfig:
    """The model's shape."""

    vocabulary: int
    concepts: int
    encoder: EncoderConfig
    grid: int = 4  # the memory holds grid × grid places per view, each the mean of what the CNN saw there
    width: int = 256
    attention: int = 128
    hidden: int = 384
    dropout: float = 0.3
    head_dropout: float = 0.4


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


class Decoder(nn.Module):
    """Memory and the words so far -> the next word."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.words = nn.Embedding(config.vocabulary, width)
        self.read = nn.GRU(2 * width, hidden, batch_first=True)
        self.attention = AdditiveAttention(hidden, width, config.attention)
        self.write = nn.GRU(hidden + width, hidden, batch_first=True)
        self.start = nn.Linear(width, 2 * hidden)
        self.before_words = nn.Linear(hidden + width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.scale = width**-0.5  # the words' vectors serve at both ends; without it the first logits are huge

    def begin(self, memory: Memory) -> State:
        """The first state: what the image and its concepts say as a whole."""
        first, second = torch.tanh(self.start(memory["whole"])).chunk(2, dim=-1)
        return {"read": first, "write": second}

    def forward(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, vocabulary] and the state after them."""
        words = self.dropout(self.words(tokens))
        told = memory["told"].unsqueeze(1).expand(-1, tokens.shape[1], -1)
        read, first = self.read(torch.cat([words, told], dim=-1), state["read"].unsqueeze(0).contiguous())
        context, _ = self.attention(read, memory)
        written, second = self.write(
            self.dropout(torch.cat([read, context], dim=-1)), state["write"].unsqueeze(0).contiguous()
        )
        output = torch.tanh(self.before_words(self.dropout(torch.cat([written, context], dim=-1))))
        logits = self.dropout(output) @ self.words.weight.T * self.scale + self.bias
        return logits, {"read": first[0], "write": second[0]}


class AttentionModel(nn.Module):
    """Encoder, concept head and decoder."""

    thresholds: Tensor

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ViewEncoder(config.encoder)
        channels = self.encoder.channels
        self.head = ConceptHead(channels, config.concepts, VIEWS, config.head_dropout)
        self.look = nn.Linear(channels, config.width)
        self.look_norm = nn.LayerNorm(config.width)
        self.places = nn.Parameter(torch.randn(VIEWS, config.grid**2, config.width) * 0.02)
        self.concepts = nn.Parameter(torch.randn(config.concepts, config.width))
        self.none_found = nn.Parameter(torch.randn(config.width))
        self.decoder = Decoder(config)
        self.memory_dropout = nn.Dropout(config.dropout)
        self.register_buffer(
            "thresholds", torch.full((config.concepts,), 0.5), persistent=False
        )  # from the manifest

    def pool(self, maps: Tensor) -> Tensor:
        """[..., C, h, w] -> [..., C, grid, grid]."""
        side = self.config.grid
        return F.adaptive_avg_pool2d(maps.flatten(0, -4), side).view(*maps.shape[:-2], side, side)

    def remember(self, maps: Tensor, mask: Tensor, told: Tensor) -> Memory:
        """Pooled maps [B, V, C, grid, grid], mask [B, V] and concepts taken as present [B, K] -> memory."""
        seen = self.look_norm(self.look(self.memory_dropout(maps.flatten(3).transpose(2, 3)))) + self.places
        seen = self.memory_dropout(seen).flatten(1, 2)  # [B, V·P, D]
        facts = self.concepts.expand(len(told), -1, -1)
        none = self.none_found.expand(len(told), 1, -1)
        slots = torch.cat([none, facts, seen], dim=1)
        visible = mask.repeat_interleave(self.config.grid**2, dim=1)
        known = torch.cat([~told.any(1, keepdim=True), told, visible], dim=1)
        summary = torch.where(told.any(1, keepdim=True), told.to(slots.dtype) @ self.concepts, self.none_found)
        glance = (seen * visible.unsqueeze(-1)).sum(1) / visible.sum(1, keepdim=True).clamp(min=1)
        keys = self.decoder.attention.key(slots)
        return {"slots": slots, "keys": keys, "mask": known, "told": summary, "whole": summary + glance}

    def encode(self, views: Tensor, mask: Tensor) -> tuple[Memory, State, Tensor]:
        """uint8 [B, V, H, W] and bool [B, V] -> memory, first state, concept probabilities [B, K]."""
        maps = self.encoder(views, mask)
        probabilities = self.head(maps, mask).float().sigmoid()
        memory = self.remember(self.pool(maps), mask, probabilities >= self.thresholds)
        return memory, self.decoder.begin(memory), probabilities

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """One token for each row [N] -> log-probabilities of the next [N, vocabulary], and the state after it."""
        logits, state = self.decoder(tokens.unsqueeze(1), state, memory)
        return logits[:, 0].float().log_softmax(-1), state
