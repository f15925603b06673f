"""A report model: an encoder that looks, a head that names concepts, a memory, and a decoder that writes.

Legend: B studies, V views, K concepts, L words of the indication, N rows, T tokens, Y vocabulary. All
architectures share everything but the decoder (`pipeline.models.<architecture>`), so that what is compared is the
way of writing. The head's logits become evidence by a linear map per concept that training fits (`evidence`), so
that 0 means "the image does not tell". Implements `decoding.Captioning`. Knows ids only, no words.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.decoding import State
from pipeline.errors import UsageError
from pipeline.models.attention import AttentionDecoder
from pipeline.models.concepts import ConceptHead
from pipeline.models.context_aggregation import ContextAggregationDecoder
from pipeline.models.encoder import ViewEncoder
from pipeline.models.encoder_decoder import EncoderDecoder
from pipeline.models.hierarchical import HierarchicalDecoder
from pipeline.models.memory import Memory, MemoryBuilder, first_view
from pipeline.models.shape import VIEWS, Shape
from pipeline.models.transformer import TransformerDecoder

PLACES = 16  # scored at once: with all places, memory grew by 9 % from 50 studies to 500, with these by 4 to 6


class Decoder(Protocol):
    """How an architecture writes. Every tensor has the rows first."""

    def prepare(self, memory: Memory) -> Memory:
        """What each step needs of the memory, made once."""

    def begin(self, memory: Memory) -> State:
        """The state before any word, from a prepared memory."""

    def __call__(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, Y] and the state after them."""


DECODERS: dict[str, Callable[[Shape], nn.Module]] = {
    "encoder-decoder": EncoderDecoder,
    "attention": AttentionDecoder,
    "context-aggregation": ContextAggregationDecoder,
    "transformer": TransformerDecoder,
    "hierarchical": HierarchicalDecoder,
}


class ReportModel(nn.Module):
    """One model of any architecture."""

    evidence: Tensor
    decoder: Decoder

    def __init__(self, architecture: str, shape: Shape) -> None:
        super().__init__()
        if architecture not in DECODERS:
            raise UsageError(f"unknown architecture {architecture!r}; use one of {', '.join(DECODERS)}")
        self.architecture = architecture
        self.config = shape
        self.encoder = ViewEncoder(shape.encoder)
        self.head = ConceptHead(self.encoder.channels, shape.concepts, VIEWS, shape.head_dropout)
        self.memory = MemoryBuilder(shape, self.encoder.channels)
        self.decoder = DECODERS[architecture](shape)  # type: ignore[assignment]
        if shape.use_beliefs:
            self.beliefs = nn.Linear(shape.width, shape.concepts)
            nn.init.zeros_(self.beliefs.weight)
            nn.init.zeros_(self.beliefs.bias)
        self.register_buffer("evidence", torch.zeros(3, shape.concepts), persistent=False)
        self.calibrate(torch.tensor([[1.0], [0.0], [0.0]]))

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.evidence.device

    def see(self, views: Tensor, mask: Tensor) -> Tensor:
        """uint8 [B, V, H, W] and bool [B, V] -> feature maps [B, V, C, h, w], zeros where a view is absent."""
        maps: Tensor = self.encoder(views, mask)
        return maps

    def judge(self, maps: Tensor, mask: Tensor) -> Tensor:
        """Feature maps -> logits of the concepts [B, K]."""
        logits: Tensor = self.head(maps, mask if self.config.use_both_views else first_view(mask))
        return logits.float()

    def calibrate(self, evidence: Tensor) -> None:
        """Take over scale, offset and prior (a logit) of each concept [3, K], as the manifest holds them."""
        self.evidence.copy_(evidence)

    def weigh(self, logits: Tensor) -> Tensor:
        """Logits of the head [B, K] -> evidence [B, K]: logarithms of likelihood ratios."""
        return logits * self.evidence[0] + self.evidence[1]

    def believe(self, evidence: Tensor) -> Tensor:
        """Evidence [B, K] -> probabilities [B, K], given how often a concept occurs."""
        return (evidence + self.evidence[2]).sigmoid()

    def expect(self, evidence: Tensor, memory: Memory) -> Tensor:
        """As `believe`, given also how the evidence goes together and what was asked: [B, K] -> logits [B, K]."""
        alone = evidence + self.evidence[2]
        return alone + self.beliefs(memory["whole"]) if self.config.use_beliefs else alone

    def remember(self, maps: Tensor, mask: Tensor, evidence: Tensor, indication: Tensor) -> Memory:
        """What the decoder may look at. Maps may be pooled already; `indication` is [B, L], 0 for no word."""
        return self.decoder.prepare(self.memory(maps, mask, evidence, indication))

    def begin(self, memory: Memory) -> State:
        """The state before any word."""
        return self.decoder.begin(memory)

    def read(self, tokens: Tensor, memory: Memory) -> Tensor:
        """A whole sequence [N, T] at once -> logits of each next token [N, T, Y]."""
        logits, _ = self.decoder(tokens, self.begin(memory), memory)
        return logits

    def score(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Whole sequences [N, T] -> log-probability of each token after the first [N, T - 1]."""
        state, scores = self.begin(memory), []
        for start in range(0, tokens.shape[1] - 1, PLACES):
            part = tokens[:, start : start + PLACES + 1]
            logits, state = self.decoder(part[:, :-1], state, memory)
            scores.append(logits.float().log_softmax(-1).gather(2, part[:, 1:, None]).squeeze(2))
        return torch.cat(scores, dim=1)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """One token for each row [N] -> log-probabilities of the next [N, Y], and the state after it."""
        logits, state = self.decoder(tokens.unsqueeze(1), state, memory)
        return logits[:, 0].float().log_softmax(-1), state
