"""Stage 2: teach the decoder to write from feature maps and concepts; the encoder and the concept head rest.

Legend: B studies, V views, K concepts, T tokens. The decoder is told the coded concepts, with noise: some are kept
from it and some false ones are added, as the head will do at work, so that it neither ignores nor blindly trusts
them. Normal studies are drawn less often than they occur, since their reports are nearly all the same.
Assumes the maps of the whole set fit into memory. Knows no metric but the loss.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.attention import AttentionModel
from pipeline.models.encoder import scatter_views
from training.concepts import Stepper, drop_views
from training.config import ReportConfig
from training.features import Activations

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Feature maps of studies with what was written about them."""

    maps: Activations
    concepts: Tensor  # [M, K] bool, as coded
    tokens: Sequence[Sequence[int]]  # <bos> ... <eos>
    normal: Tensor  # [M] bool


def noisy_concepts(
    concepts: Tensor, config: ReportConfig, prevalence: Tensor, generator: torch.Generator
) -> Tensor:
    """Coded concepts as the head would report them: some missed, some invented. [B, K] bool."""
    missed = torch.rand(concepts.shape, generator=generator) < config.concept_drop
    invented = torch.rand(concepts.shape, generator=generator) < config.concept_add * prevalence
    return (concepts & ~missed) | invented


def drop_images(present: Tensor, mask: Tensor, chance: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide both views of some studies, so that the decoder learns to write from the concepts."""
    hide = torch.rand(len(mask), 1, generator=generator) < chance
    return present[~hide.expand_as(mask)[mask]], mask & ~hide


def draw_epoch(
    normal: Tensor, lengths: Sequence[int], config: ReportConfig, generator: torch.Generator
) -> list[list[int]]:
    """Batches of one epoch: normal studies thinned out, similar lengths together, batches in random order."""
    keep = ~normal | (torch.rand(len(normal), generator=generator) < config.normal_weight)
    kept = keep.nonzero().flatten()
    index: list[int] = kept[torch.randperm(len(kept), generator=generator)].tolist()
    pool = config.batch_size * 8
    ordered: list[list[int]] = []
    for start in range(0, len(index), pool):
        part = sorted(index[start : start + pool], key=lambda number: lengths[number])
        ordered += [part[i : i + config.batch_size] for i in range(0, len(part), config.batch_size)]
    return [ordered[i] for i in torch.randperm(len(ordered), generator=generator).tolist()]


def pad_tokens(sequences: Sequence[Sequence[int]], pad: int) -> Tensor:
    """[B, T], padded at the end."""
    longest = max(map(len, sequences))
    return torch.tensor([[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences])


def caption_loss(
    model: AttentionModel, views: tuple[Tensor, Tensor], told: Tensor, tokens: Tensor, smoothing: float
) -> Tensor:
    """Cross entropy of each next token, given pooled maps of present views [N, C, h, w] and mask [B, V]."""
    present, mask = views
    memory = model.remember(scatter_views(present, mask), mask, told)
    logits, _ = model.decoder(tokens[:, :-1], model.decoder.begin(memory), memory)
    return F.cross_entropy(
        logits.float().flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0, label_smoothing=smoothing
    )


def _learning(model: AttentionModel) -> list[torch.nn.Parameter]:
    resting = {id(p) for part in (model.encoder, model.head) for p in part.parameters()}
    return [p for p in model.parameters() if id(p) not in resting]


def fit_captions(
    model: AttentionModel,
    train: Written,
    *,
    config: ReportConfig,
    seed: int,
    judge: Callable[[int, float], float],
    every: int = 1,
) -> float:
    """Train; `judge(epoch, loss)` scores the model as it stands; leave the model in its best epoch."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [len(tokens) for tokens in train.tokens]
    epochs = [draw_epoch(train.normal, lengths, config, generator) for _ in range(config.epochs)]
    optimiser = torch.optim.AdamW(_learning(model), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = Stepper(optimiser, sum(map(len, epochs)) + 1, seed)
    best, state = float("-inf"), {}
    for epoch, drawn in enumerate(epochs):
        loss = _epoch(model, train, drawn, config, step)
        if (epoch + 1) % every and epoch + 1 < len(epochs):
            log.info("captions epoch %d loss %.4f", epoch, loss)
            continue
        score = judge(epoch, loss)
        if score > best:
            best, state = score, {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    return best


def _epoch(
    model: AttentionModel, train: Written, drawn: Sequence[Sequence[int]], config: ReportConfig, step: Stepper
) -> float:
    model.train()
    prevalence = train.concepts.float().mean(0)
    losses = []
    for index in drawn:
        views = drop_views(*train.maps.batch(index, generator=step.generator), config.view_dropout, step.generator)
        views = drop_images(*views, config.image_dropout, step.generator)
        told = noisy_concepts(train.concepts[list(index)], config, prevalence, step.generator)
        tokens = pad_tokens([train.tokens[number] for number in index], pad=0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = caption_loss(model, views, told, tokens, config.label_smoothing)
        step.take(loss)
        losses.append(loss.item())
    return float(np.mean(losses))
