"""Stage 1: teach the encoder's later layers and the concept head to see the coded problems.

Legend: B studies, V views, K concepts. The first layers rest and their activations come from memory.
Chooses the epoch with the best mean AUROC on the choice split. Knows no words.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import ViewEncoder, scatter_views
from training.config import ConceptConfig
from training.features import Activations

log = logging.getLogger(__name__)


class Seer(nn.Module):
    """Encoder and head, from the resting layers' activations to logits."""

    def __init__(self, encoder: ViewEncoder, head: ConceptHead, frozen_blocks: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.frozen_blocks = frozen_blocks

    def forward(self, present: Tensor, mask: Tensor) -> Tensor:
        """[N, C', h', w'] and [B, V] -> logits [B, K]."""
        maps = scatter_views(self.encoder.tail(present, self.frozen_blocks), mask)
        logits: Tensor = self.head(maps, mask)
        return logits.float()


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Activations with their targets."""

    activations: Activations
    targets: Tensor  # [M, K] of 0 and 1


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Shuffled batches of indices; a last batch of one would break batch normalisation and is left out."""
    order = torch.randperm(count, generator=generator).tolist()
    for start in range(0, count, size):
        if count - start > 1:
            yield order[start : start + size]


def drop_views(present: Tensor, mask: Tensor, chance: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a random view of some studies that have both."""
    both = mask.all(1, keepdim=True)
    victim = torch.randint(mask.shape[1], (len(mask), 1), generator=generator) == torch.arange(mask.shape[1])
    hide = both & victim & (torch.rand(len(mask), 1, generator=generator) < chance)
    return present[~hide[mask]], mask & ~hide


def predict(seer: Seer, activations: Activations, *, size: int = 32, precise: bool = False) -> Tensor:
    """Probabilities [M, K] of the clean copies, in single precision where that is asked for."""
    seer.eval()
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=not precise):
        for start in range(0, len(activations.rows), size):
            index = range(start, min(start + size, len(activations.rows)))
            parts.append(seer(*activations.batch(index, generator=None)).sigmoid())
    return torch.cat(parts)


def aurocs(targets: Tensor, scores: Tensor, names: Sequence[str], at_least: int = 5) -> dict[str, float]:
    """AUROC of each concept with enough positives to say anything."""
    columns = [k for k in range(len(names)) if at_least <= int(targets[:, k].sum()) < len(targets)]
    return {names[k]: float(roc_auc_score(targets[:, k], scores[:, k])) for k in columns}


def _optimiser(seer: Seer, config: ConceptConfig) -> torch.optim.AdamW:
    tail = seer.encoder.layers[config.frozen_blocks :].parameters()
    groups = [
        {"params": list(tail), "lr": config.learning_rate},
        {"params": list(seer.head.parameters()), "lr": config.head_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _epoch(seer: Seer, data: Labelled, config: ConceptConfig, weight: Tensor, step: "Stepper") -> float:
    seer.train()
    losses = []
    for index in batches(len(data.targets), config.batch_size, step.generator):
        views = data.activations.batch(index, generator=step.generator)
        views = drop_views(*views, config.view_dropout, step.generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = seer(*views)
        smooth = data.targets[index] * (1 - 2 * config.label_smoothing) + config.label_smoothing
        loss = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weight)
        step.take(loss)
        losses.append(loss.item())
    return float(np.mean(losses))


class Stepper:
    """An optimiser with its schedule (short warm-up, then cosine) and its random numbers."""

    def __init__(self, optimiser: torch.optim.Optimizer, steps: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = optimiser
        rates = [group["lr"] for group in optimiser.param_groups]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.1)

    def take(self, loss: Tensor) -> None:
        """One update."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        self.optimiser.step()
        self.schedule.step()


def _mean(found: dict[str, float]) -> float:
    return float(np.mean(list(found.values()))) if found else 0.0


def fit_concepts(
    seer: Seer, train: Labelled, choice: Labelled, names: Sequence[str], *, config: ConceptConfig, seed: int
) -> dict[str, float]:
    """Train; leave `seer` in its best epoch; return the AUROCs of that epoch."""
    rate = train.targets.mean(0)
    weight = ((1 - rate) / rate).sqrt().clamp(max=5.0)
    per_epoch = -(-len(train.targets) // config.batch_size)
    step = Stepper(_optimiser(seer, config), config.epochs * per_epoch + 1, seed)
    best: dict[str, float] = {}
    state = {key: value.clone() for key, value in seer.state_dict().items()}
    for epoch in range(config.epochs):
        loss = _epoch(seer, train, config, weight, step)
        found = aurocs(choice.targets, predict(seer, choice.activations), names)
        mean = _mean(found)
        log.info(
            "concepts epoch %d loss %.4f mean AUROC %.4f abnormal %.4f",
            epoch,
            loss,
            mean,
            found.get("abnormal", float("nan")),
        )
        if not best or mean > _mean(best):
            best, state = found, {key: value.clone() for key, value in seer.state_dict().items()}
    seer.load_state_dict(state)
    return best
