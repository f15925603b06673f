"""Activations of the encoder's resting layers, kept in memory so that each epoch costs only the layers that learn.

Legend: M examples, V views, K copies of each view (copy 0 is clean, the others augmented).
Assumes the whole set fits into memory in half precision. Knows no labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from pipeline.models.shape import VIEWS
from pipeline.study import Pixels
from training.augment import augment

CHUNK = 32  # views per forward pass
Load = Callable[[], Pixels]  # a view, read when it is wanted


@dataclass(frozen=True, kw_only=True)
class Activations:
    """What the resting layers make of every view of a list of examples."""

    values: Tensor  # [rows, C, h, w] float16; a row per present view and copy
    rows: Tensor  # [M, V] the row of copy 0, -1 where the view is absent; copies follow each other
    copies: Tensor  # [M] how many there are of each view

    def batch(self, index: Sequence[int], *, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Present views [N, C, h, w] and mask [B, V]; random copies if a generator is given."""
        rows = self.rows[torch.as_tensor(index)]
        mask = rows >= 0
        if generator is not None:
            drawn = torch.rand(rows.shape, generator=generator) * self.copies[torch.as_tensor(index)].unsqueeze(1)
            rows = rows + drawn.long()
        return self.values[rows[mask]].float(), mask


def _variants(views: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """[N, H, W] -> [N * copies, H, W]; the copies of a view follow each other, the clean one first."""
    if copies == 1:
        return views
    changed = augment(views.repeat_interleave(copies - 1, 0), generator)
    grouped = changed.view(len(views), copies - 1, *views.shape[1:])
    return torch.cat([views[:, None], grouped], 1).flatten(0, 1)


def compute_activations(
    studies: Sequence[Sequence[Load | None]],
    forward: Callable[[Tensor], Tensor],
    *,
    copies: int,
    seed: int,
) -> Activations:
    """Run `forward` ([N, H, W] uint8 -> [N, C, h, w]) over every view of each study and its augmented copies.

    A study is its views in the model's order, None where one is absent.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.full((len(studies), VIEWS), -1)
    pending: list[Pixels] = []
    chunks: list[Tensor] = []

    def run() -> None:
        views = _variants(torch.from_numpy(np.stack(pending)), copies, generator)
        parts = (views[start : start + CHUNK] for start in range(0, len(views), CHUNK))
        chunks.extend(_run(part, forward) for part in parts)
        pending.clear()

    for number, views in enumerate(studies):
        for view, load in enumerate(views):
            if load is not None:
                rows[number, view] = sum(map(len, chunks)) + len(pending) * copies
                pending.append(load())
        if len(pending) >= CHUNK:
            run()
    if pending:
        run()
    return Activations(values=torch.cat(chunks), rows=rows, copies=torch.full((len(studies),), copies))


def joined_activations(parts: Sequence[Activations]) -> Activations:
    """Several sets as one."""
    starts = [0, *accumulate(len(part.values) for part in parts)]
    rows = [torch.where(part.rows < 0, -1, part.rows + start) for part, start in zip(parts, starts, strict=False)]
    values = torch.cat([part.values for part in parts])
    return Activations(values=values, rows=torch.cat(rows), copies=torch.cat([part.copies for part in parts]))


def _run(views: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
    with torch.inference_mode():
        return forward(views).half().cpu()
