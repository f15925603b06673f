"""Activations of the encoder's resting layers, kept in memory so that each epoch costs only the layers that learn.

Legend: M examples, V views, K copies of each view (copy 0 is clean, the others augmented).
Assumes the whole set fits into memory in half precision. Knows no labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.study import Pixels
from training.augment import augment
from training.datasets import Example, ImageArchive

CHUNK = 32  # views per forward pass


@dataclass(frozen=True, kw_only=True)
class Activations:
    """What the resting layers make of every view of a list of examples."""

    values: Tensor  # [rows, C, h, w] float16; a row per present view and copy
    rows: Tensor  # [M, V] the row of copy 0, -1 where the view is absent; copies follow each other
    copies: int

    def batch(self, index: Sequence[int], *, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Present views [N, C, h, w] and mask [B, V]; random copies if a generator is given."""
        rows = self.rows[torch.as_tensor(index)]
        mask = rows >= 0
        if generator is not None:
            rows = rows + torch.randint(self.copies, rows.shape, generator=generator)
        return self.values[rows[mask]].float(), mask


def _variants(pixels: Pixels, copies: int, random: np.random.Generator) -> list[Pixels]:
    return [pixels, *(augment(pixels, random) for _ in range(copies - 1))]


def compute_activations(
    examples: Sequence[Example],
    archive: ImageArchive,
    forward: Callable[[Tensor], Tensor],
    *,
    copies: int,
    seed: int,
    precise: bool = False,
) -> Activations:
    """Run `forward` ([N, H, W] uint8 -> [N, C, h, w]) over every view and its augmented copies.

    `precise` computes in single precision, as a captioner on a CPU does: thresholds lie close between studies.
    """
    random = np.random.default_rng(seed)
    rows = torch.full((len(examples), 2), -1)
    pending: list[Pixels] = []
    chunks: list[Tensor] = []
    for number, example in enumerate(examples):
        for view, file in enumerate((example.frontal, example.lateral)):
            if file is not None:
                rows[number, view] = sum(map(len, chunks)) + len(pending)
                pending += _variants(archive.pixels(file), copies, random)
        if len(pending) >= CHUNK:
            chunks.append(_run(pending, forward, precise=precise))
            pending = []
    if pending:
        chunks.append(_run(pending, forward, precise=precise))
    return Activations(values=torch.cat(chunks), rows=rows, copies=copies)


def _run(views: list[Pixels], forward: Callable[[Tensor], Tensor], *, precise: bool) -> Tensor:
    faster = torch.autocast("cpu", dtype=torch.bfloat16, enabled=not precise)
    with torch.inference_mode(), faster:
        return forward(torch.from_numpy(np.stack(views))).half()
