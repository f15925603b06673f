"""The same resize as `pipeline.resizing`, bit for bit, in a fraction of the time: how the converting half does it.

Pillow resamples across, then down, one byte at a time. Here the image is turned, resampled down, turned back and
resampled down once more: the same sums in the same order, but of columns side by side, of which a processor adds
up many at a time. A small C extension does it, with Pillow's own weights; where no compiler was there to build
it, Pillow does, told that each four columns are one pixel of four channels. Needs OpenCV, for turning. Knows no
DICOM.
"""

import math
from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.resizing import resample
from pipeline.study import Pixels

extension: ModuleType | None
try:
    from pipeline import columns as extension
except ImportError:
    extension = None

BAND = 128  # rows turned at a time: they stay in the processor's own cache
BITS = 22  # of Pillow's weights
HALF = 0.5  # a box's support, in output pixels
CHANNELS = 4
MODE = "CMYK"  # four channels that Pillow resamples alike; alpha would be multiplied in


def shrink(pixels: Pixels, width: int, height: int, kernel: Image.Resampling) -> Pixels:
    """`pixels` [rows, columns] as [height, width]."""
    rows, columns = pixels.shape
    if rows - height > 2 * (columns - width):
        return resample(pixels, width, height, kernel)  # here Pillow 13 goes down first, others do not
    down = _down_by_pillow if extension is None else _down
    across = np.empty((rows, width), np.uint8)
    for top in range(0, rows, BAND):
        turned = np.asarray(cv2.transpose(pixels[top : top + BAND]), np.uint8)
        cv2.transpose(down(turned, width, kernel), across[top : top + BAND])
    return np.ascontiguousarray(down(across, height, kernel))


def _down(pixels: Pixels, height: int, kernel: Image.Resampling) -> Pixels:
    """Each column resampled to `height`."""
    assert extension is not None
    rows, columns = pixels.shape
    if rows == height:
        return pixels
    out = np.empty((height, columns), np.uint8)
    extension.resample(pixels, columns, *_weights(rows, height, kernel), out)
    return out


@lru_cache(maxsize=16)
def _weights(
    rows: int, height: int, kernel: Image.Resampling
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """For each output row: its first input row, how many it takes, and their weights [height, taps]."""
    scale = rows / height
    stretch = max(scale, 1.0)
    support = stretch * (HALF if kernel is Image.Resampling.BOX else 1.0)
    centre = (np.arange(height) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int32), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int32), rows) - first
    tap = np.arange(math.ceil(support) * 2 + 1)
    away = (tap + first[:, None] - centre[:, None] + 0.5) * (1.0 / stretch)
    if kernel is Image.Resampling.BOX:
        share = np.where((away > -HALF) & (away <= HALF), 1.0, 0.0)
    else:
        share = np.maximum(1.0 - np.abs(away), 0.0)
    share[tap >= count[:, None]] = 0.0
    whole = np.cumsum(share, axis=1)[:, -1:]  # in Pillow's order: a sum in another differs in its last bit
    return first, count, (0.5 + share / np.where(whole == 0, 1.0, whole) * (1 << BITS)).astype(np.int32)


def _down_by_pillow(pixels: Pixels, height: int, kernel: Image.Resampling) -> Pixels:
    """The same, four columns at a time; some columns of nothing may have to be added."""
    rows, columns = pixels.shape
    spare = -columns % CHANNELS
    if spare:
        padded = cv2.copyMakeBorder(pixels, 0, 0, 0, spare, cv2.BORDER_CONSTANT)
        pixels = np.asarray(padded, np.uint8)
    width = (columns + spare) // CHANNELS
    image = Image.frombuffer(MODE, (width, rows), pixels, "raw", MODE, 0, 1)
    resampled = np.asarray(image.resize((width, height), kernel))
    return resampled.reshape(height, columns + spare)[:, :columns]
