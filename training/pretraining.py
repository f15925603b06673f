"""The stage that learns what radiographs look like from images alone: two random views of one are to say the same.

Legend: M images, N of a batch, H×W pixels, P numbers of an embedding, C channels. VICReg (Bardes et al., arXiv
2105.04906): both views' embeddings close to each other (invariance), each of their numbers spread over a batch
(variance), no two of them saying the same (covariance). It needs no pairs of different images and no large batch.
Views are drawn anew each time from pixels kept in memory; a part of the image is cut out before the changes that
every stage makes. The first layers may rest. Under several ranks each takes the spread of its own share. Knows no
labels and no studies: an image is an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.models.encoder import ViewEncoder
from training.augment import augment
from training.config import PretrainingConfig

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # weights of the paper
SMALLEST_VARIANCE = 1e-4  # the root of nothing has no gradient
JUDGED = 64  # images judged at once


def vicreg_loss(first: Tensor, second: Tensor) -> Tensor:
    """Embeddings [N, P] of two views of each image -> loss. A batch of one has no spread: invariance alone."""
    with torch.autocast(first.device.type, enabled=False):
        first, second = first.float(), second.float()
        loss = INVARIANCE * F.mse_loss(first, second)
        if len(first) > 1:
            for embedding in (first, second):
                loss = loss + 0.5 * VARIANCE * lack_of_variance(embedding) + COVARIANCE * covariance(embedding)
        return loss


def lack_of_variance(embedding: Tensor) -> Tensor:
    """How far the deviations of the numbers are below 1, in the mean: [N, P] -> scalar."""
    return F.relu(1 - (embedding.var(0) + SMALLEST_VARIANCE).sqrt()).mean()


def covariance(embedding: Tensor) -> Tensor:
    """Squares of the covariances of different numbers, per number: [N, P] -> scalar."""
    count, width = embedding.shape
    centred = embedding - embedding.mean(0)
    products = centred.T @ centred / (count - 1)
    return (products.square().sum() - products.diagonal().square().sum()) / width


def cut_out(views: Tensor, smallest: float, generator: Generator) -> Tensor:
    """A random part of each view, at least this share of its area, at the view's size: [N, H, W] uint8 -> same."""
    share, right, down = torch.rand(3, len(views), generator=generator).to(views.device)
    side = (smallest + (1 - smallest) * share).sqrt()
    free, nothing = 1 - side, torch.zeros_like(side)
    rows = [side, nothing, free * (2 * right - 1), nothing, side, free * (2 * down - 1)]
    grid = F.affine_grid(
        torch.stack(rows, 1).view(-1, 2, 3), [len(views), 1, *views.shape[1:]], align_corners=False
    )
    part = F.grid_sample(views[:, None].float(), grid, padding_mode="border", align_corners=False)[:, 0]
    return part.round().clamp(0, 255).to(torch.uint8)


class Pretrainer(nn.Module):
    """Encoder and projector; what the projector makes is thrown away afterwards."""

    def __init__(self, encoder: ViewEncoder, *, frozen_blocks: int, width: int) -> None:
        super().__init__()
        self.encoder, self.frozen_blocks = encoder, frozen_blocks
        self.projector = nn.Sequential(
            nn.Linear(2 * encoder.channels, width), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, width, bias=False),
        )  # fmt: skip

    def train(self, mode: bool = True) -> "Pretrainer":
        """Switch the mode of what learns; the resting layers keep their statistics."""
        super().train(mode)
        self.encoder.layers[: self.frozen_blocks].eval()
        return self

    def features(self, views: Tensor) -> Tensor:
        """[N, H, W] uint8 -> means and maxima of the feature map [N, 2C], as the concept head reads it."""
        with torch.no_grad():
            resting = self.encoder.stem(views, self.frozen_blocks)
        maps = self.encoder.tail(resting, self.frozen_blocks)
        return torch.cat([maps.mean((-2, -1)), maps.amax((-2, -1))], dim=-1)

    def forward(self, views: Tensor) -> Tensor:
        """[N, H, W] uint8 -> embeddings [N, P]."""
        embeddings: Tensor = self.projector(self.features(views))
        return embeddings


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images in memory."""

    ids: Sequence[str]
    pixels: Tensor  # [M, H, W] uint8


@dataclass(frozen=True, kw_only=True)
class PretrainingTask:
    """VICReg on views drawn on the fly; judged on images that it does not learn from."""

    pretrainer: Pretrainer
    train: Pictures
    choice: Pictures
    config: PretrainingConfig
    device: torch.device

    @property
    def module(self) -> nn.Module:
        """Encoder and projector."""
        return self.pretrainer

    @property
    def ids(self) -> Sequence[str]:
        """The images' names."""
        return self.train.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """The later layers and the projector."""
        tail = self.pretrainer.encoder.layers[self.config.frozen_blocks :].parameters()
        return [{"params": [*tail, *self.pretrainer.projector.parameters()], "lr": self.config.learning_rate}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Every image once; no batch of one, which has no spread."""
        order, size = torch.randperm(len(self.train.ids), generator=generator).tolist(), self.config.batch_size
        return [order[i : i + size] for i in range(0, len(order), size) if len(order) - i > 1]

    def weight(self, index: Sequence[int]) -> float:
        """Images count alike."""
        return float(len(index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """Of two views of each image, seen together so that one norm serves both."""
        both = torch.cat([self.view(self.train, index, generator) for _ in range(2)])
        first, second = self.pretrainer(both).chunk(2)
        return vicreg_loss(first, second)

    def view(self, pictures: Pictures, index: Sequence[int], generator: Generator) -> Tensor:
        """One random view of each of some images [N, H, W] uint8."""
        pixels = pictures.pixels[torch.as_tensor(list(index))].to(self.device)
        return augment(cut_out(pixels, self.config.smallest_part, generator), generator)

    def judge(self, epoch: int) -> Mapping[str, float]:  # noqa: ARG002
        """The loss on other images, always the same views; and how many views of an image find each other."""
        generator = Generator().manual_seed(0)
        places = [range(i, min(i + JUDGED, len(self.choice.ids))) for i in range(0, len(self.choice.ids), JUDGED)]
        first, second = (
            torch.cat([self.pretrainer.features(self.view(self.choice, index, generator)) for index in places])
            for _ in range(2)
        )
        loss = vicreg_loss(self.pretrainer.projector(first), self.pretrainer.projector(second))
        return {"score": -float(loss), "found": found(first, second)}


def found(first: Tensor, second: Tensor) -> float:
    """Share of images whose second view is the nearest to the first by its angle, and the other way round."""
    likeness = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T
    own = torch.arange(len(likeness), device=likeness.device)
    both = (likeness.argmax(0) == own) & (likeness.argmax(1) == own)
    return float(both.float().mean())
