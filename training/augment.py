"""Random but plausible changes of radiographs: position, crop, exposure, noise, sharpness. Never a mirror image.

Legend: N views, H rows, W columns. A flip would move the heart to the right and make every "left" in the report
wrong. Every view of a batch gets changes of its own, all drawn from one generator; a batch costs one resampling,
on whatever device the views are. The noise and blur also stand for what another detector, a window or a resize
makes of the same chest. Equal generators give equal views on one device, not across devices: noise is drawn there.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 8.0  # degrees, either way
SMALLEST, LARGEST = 0.90, 1.15  # scale; what is larger than 1 crops
SHIFT = 0.06  # of the side, either way
GAMMA = 0.25  # natural logarithm, either way
CONTRAST = 0.20  # relative, either way
BRIGHTNESS = 18.0  # grey levels, either way
NOISE = 4.0  # grey levels, largest standard deviation
BLUR_CHANCE = 0.25
SOFTEST, SHARPEST = 0.30, 0.15  # of a pixel's light goes to each neighbour beside it: sigma about 1, and 0.6
WHITE, MIDDLE = 255.0, 128.0


def augment(views: Tensor, generator: torch.Generator) -> Tensor:
    """One random variant of each view: [N, H, W] uint8 -> [N, H, W] uint8."""
    grey = _expose(_move(views.float(), generator), generator)
    grey = _soften(grey + _noise(grey, generator), generator)
    return grey.clamp(0, WHITE).round().to(torch.uint8)


def _draw(views: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """A number between the two for each view, [N]."""
    drawn = torch.rand(len(views), generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(views.device)


def _move(grey: Tensor, generator: torch.Generator) -> Tensor:
    height, width = grey.shape[1:]
    turn = _draw(grey, generator, -math.radians(ROTATION), math.radians(ROTATION))
    scale = _draw(grey, generator, SMALLEST, LARGEST)
    right, down = (_draw(grey, generator, -2 * SHIFT, 2 * SHIFT) for _ in range(2))  # a side is 2 units long
    cosine, sine = turn.cos() / scale, turn.sin() / scale
    rows = [cosine, -sine * height / width, right, sine * width / height, cosine, down]
    matrix = torch.stack(rows, 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, [len(grey), 1, height, width], align_corners=False)
    return F.grid_sample(grey[:, None], grid, padding_mode="zeros", align_corners=False)[:, 0]


def _expose(grey: Tensor, generator: torch.Generator) -> Tensor:
    gamma = _draw(grey, generator, -GAMMA, GAMMA).exp()
    contrast = 1 + _draw(grey, generator, -CONTRAST, CONTRAST)
    brightness = _draw(grey, generator, -BRIGHTNESS, BRIGHTNESS)
    bent = WHITE * (grey / WHITE).clamp(0, 1) ** gamma[:, None, None]
    return (bent - MIDDLE) * contrast[:, None, None] + MIDDLE + brightness[:, None, None]


def _noise(grey: Tensor, generator: torch.Generator) -> Tensor:
    deviation = _draw(grey, generator, 0, NOISE)[:, None, None]
    if generator.device != grey.device:  # so many numbers are drawn where they are needed
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(grey.device).manual_seed(seed)
    return deviation * torch.randn(grey.shape, generator=generator, device=grey.device)


def _soften(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Spread some views' light to the neighbours, by a kernel of 3 by 3 for each view."""
    share = _draw(grey, generator, SHARPEST, SOFTEST)
    share = share * (_draw(grey, generator, 0, 1) < BLUR_CHANCE)
    line = torch.stack([share, 1 - 2 * share, share], 1)
    kernels = line[:, :, None] * line[:, None, :]  # [N, 3, 3]
    padded = F.pad(grey[None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernels[:, None], groups=len(grey))[0]
