"""Train the view classifier, and say how good it is: `nightread-train views`.

A few minutes on two cores: 32×32 pixels, 63 thousand weights. Every batch is turned, shifted, stretched, cropped,
framed, inverted and noised anew, for detectors and archives differ in all of that. The thresholds above which an
opinion counts are chosen on val views and stored in the manifest. Knows no DICOM headers.

Shapes: B batch, N images, S = 32 pixels.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.view_classifier import LEAST_DEVIATION, SIDE
from training.view_data import FRONTAL, LATERAL, OTHER, Seen

BATCH, RATE = 128, 3e-3
SHARES = {FRONTAL: 0.4, LATERAL: 0.35, OTHER: 0.25}  # of a batch
PIECES = 0.3  # of the others: chests turned by a right angle or cut to pieces
log = logging.getLogger(__name__)


class Network(nn.Module):
    """What `pipeline.view_classifier` evaluates."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.second = nn.Conv2d(12, 32, 3, stride=2, padding=1)
        self.third = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.hidden = nn.Linear(64 * 16, 40)
        self.output = nn.Linear(40, 4)
        self.dropout = nn.Dropout(0.2)

    def forward(self, seen: Tensor) -> Tensor:
        """[B, 1, S, S], standardised, to [B, 4]: scores of frontal, lateral, other; and of inverted."""
        for layer in (self.first, self.second, self.third):
            seen = F.relu(layer(seen))
        return self.output(F.relu(self.hidden(self.dropout(seen.flatten(1)))))  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The images of one kind."""

    pixels: Tensor  # [N, 1, S, S] of 0 to 1


def train(seen: Sequence[Seen], *, steps: int, seed: int = 0) -> Network:
    """A network taught what is on the train side."""
    torch.manual_seed(seed)
    pools = {kind: _pool([one for one in seen if one.kind == kind and one.side == "train"]) for kind in SHARES}
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        images, kinds, inverted = _batch(pools)
        scores = network(images)
        told = kinds != OTHER
        loss = F.cross_entropy(scores[:, :3], kinds, label_smoothing=0.005)
        loss = loss + 0.3 * F.binary_cross_entropy_with_logits(scores[told, 3], inverted[told])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
        if step % 100 == 0:
            log.info("step %d of %d: loss %.4f", step, steps, loss.item())
    return network.eval()


def _pool(images: Sequence[Seen]) -> Pool:
    stacked = torch.from_numpy(np.stack([one.pixels for one in images]))
    return Pool(pixels=stacked[:, None].float() / 255)


def _batch(pools: Mapping[int, Pool]) -> tuple[Tensor, Tensor, Tensor]:
    parts, kinds = [], []
    for kind, share in SHARES.items():
        count = round(BATCH * share)
        parts.append(_others(pools, count) if kind == OTHER else _drawn(pools[kind], count))
        kinds += [kind] * count
    images = torch.cat(parts)
    inverted = (torch.rand(len(images)) < 0.2).float()  # noqa: PLR2004
    turned = inverted[:, None, None, None]
    images = images * (1 - turned) + (1 - images) * turned
    return standardised(_framed(_moved(images))), torch.tensor(kinds), inverted


def _drawn(pool: Pool, count: int) -> Tensor:
    return pool.pixels[torch.randint(len(pool.pixels), (count,))]


def _others(pools: Mapping[int, Pool], count: int) -> Tensor:
    """Images of other things, and chests that are turned by a right angle or cut to pieces."""
    pieces = round(count * PIECES)
    chests = torch.cat([_drawn(pools[FRONTAL], pieces - pieces // 2), _drawn(pools[LATERAL], pieces // 2)])
    half = len(chests) // 2
    quarters = int(torch.randint(1, 4, ()))
    turned = torch.rot90(chests[:half], quarters, (2, 3))
    corner = torch.randint(0, SIDE * 2 // 3, (len(chests) - half, 2)).tolist()
    side = SIDE // 3
    cut = [
        F.interpolate(one[None, :, y : y + side, x : x + side], (SIDE, SIDE), mode="bilinear")
        for one, (y, x) in zip(chests[half:], corner, strict=True)
    ]
    found = _drawn(pools[OTHER], count - pieces)
    found = torch.rot90(found, int(torch.randint(0, 4, ())), (2, 3))
    return torch.cat([found, turned, *cut])


def _moved(images: Tensor) -> Tensor:
    """Turned by up to 9 degrees, shifted, scaled along each axis alone, mirrored; black or white outside."""
    count = len(images)
    angle = (torch.rand(count) - 0.5) * 0.32
    scale = 1 / torch.empty(count, 2).uniform_(0.72, 1.2)
    scale[:, 0] *= torch.where(torch.rand(count) < 0.5, -1.0, 1.0)  # noqa: PLR2004
    shift = (torch.rand(count, 2) - 0.5) * 0.24
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() * scale[:, 0], -angle.sin() * scale[:, 1]
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() * scale[:, 0], angle.cos() * scale[:, 1]
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    outside = torch.where(torch.rand(count) < 0.25, 1.0, 0.0)[:, None, None, None]  # noqa: PLR2004
    return F.grid_sample(images - outside, grid, align_corners=False) + outside


def _framed(images: Tensor) -> Tensor:
    """Other contrasts, black margins of a letterbox, blur and noise."""
    count = len(images)
    gamma = torch.empty(count, 1, 1, 1).uniform_(-0.7, 0.7).exp()
    images = images.clamp(0, 1) ** gamma
    for axis in (2, 3):
        margin = (torch.rand(count) * 0.22 * SIDE * (torch.rand(count) < 0.2)).long()  # noqa: PLR2004
        place = torch.arange(SIDE)
        keep = (place >= margin[:, None]) & (place < SIDE - margin[:, None])
        images = images * keep.reshape((count, 1, SIDE, 1) if axis == 2 else (count, 1, 1, SIDE))  # noqa: PLR2004
    if torch.rand(()) < 0.3:  # noqa: PLR2004
        images = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    return images + torch.randn_like(images) * torch.rand(count, 1, 1, 1) * 0.04


def standardised(images: Tensor) -> Tensor:
    """As `pipeline.view_classifier.standardised` does it."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) / images.std((2, 3), keepdim=True, correction=0).clamp_min(LEAST_DEVIATION / 255)


def weights_of(network: Network) -> dict[str, NDArray[np.float16]]:
    """The weights in half precision, as they are stored."""
    return {name: values.numpy().astype(np.float16) for name, values in network.state_dict().items()}
