"""A grey image to the size a model wants; the same before training and at work.

Resizing is Pillow's: antialiased BILINEAR, equal to torchvision's within one level, or BOX. Needs numpy and
Pillow alone, so that training runs where no DICOM library is; whoever has OpenCV passes the way of
`pipeline.shrinking`, and gets the same. Knows no DICOM.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from pipeline.study import Pixels, Preprocessing

Resample: TypeAlias = Callable[[Pixels, int, int, Image.Resampling], Pixels]  # as `resample`


def resample(pixels: Pixels, width: int, height: int, kernel: Image.Resampling) -> Pixels:
    """`pixels` [rows, columns] as [height, width]."""
    rows, columns = pixels.shape
    image = Image.frombuffer("L", (columns, rows), pixels, "raw", "L", 0, 1)
    return np.asarray(image.resize((width, height), kernel))


def resize(
    pixels: Pixels, preprocessing: Preprocessing, aspect: float = 1.0, *, by: Resample = resample
) -> Pixels:
    """To the model's size. `aspect` is a pixel's height over its width; only a letterbox shows it."""
    rows, columns = pixels.shape
    height, width = preprocessing.height, preprocessing.width
    if preprocessing.fit == "squash":
        return by(pixels, width, height, _kernel(pixels, width, height, preprocessing.resampling))
    if preprocessing.fit != "letterbox":
        raise ValueError(f"fit is 'squash' or 'letterbox', not {preprocessing.fit!r}")
    scale = min(height / (rows * aspect), width / columns)
    inner_height = min(height, max(1, round(rows * aspect * scale)))
    inner_width = min(width, max(1, round(columns * scale)))
    canvas = np.zeros((height, width), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    kernel = _kernel(pixels, inner_width, inner_height, preprocessing.resampling)
    canvas[top : top + inner_height, left : left + inner_width] = by(pixels, inner_width, inner_height, kernel)
    return canvas


def _kernel(pixels: Pixels, width: int, height: int, resampling: str) -> Image.Resampling:
    if resampling not in ("bilinear", "box"):
        raise ValueError(f"resampling is 'bilinear' or 'box', not {resampling!r}")
    rows, columns = pixels.shape
    shrinks = columns >= width and rows >= height  # a box that enlarges would make blocks
    return Image.Resampling.BOX if resampling == "box" and shrinks else Image.Resampling.BILINEAR
