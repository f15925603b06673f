"""Stored patterns to a model-ready view: arrays in, arrays out.

The order is the standard's (PS3.3 C.11 and C.7.6.3.1.2): mask and sign, padding, modality, VOI, inversion, 8
bits; all of it folded into one table of 256 or 65,536 entries and one look-up, then the resize. MONOCHROME1 is
inverted after VOI; Presentation LUT Shape says the same thing a second time (C.8.11.3) and so is never applied,
only compared. Resizing is Pillow's, before and after training alike: antialiased BILINEAR, equal to torchvision's
within one level, or BOX.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.attributes import Attributes
from pipeline.codecs import Frame, Patterns
from pipeline.study import Pixels, Preprocessing, View
from pipeline.values import VALUE_TAGS, value_table
from pipeline.windowing import WINDOW_TAGS, displayed

PIXEL_SPACING, IMAGER_SPACING, ASPECT, SHAPE = 0x00280030, 0x00181164, 0x00280034, 0x20500020
RENDER_TAGS = VALUE_TAGS | WINDOW_TAGS | {PIXEL_SPACING, IMAGER_SPACING, ASPECT, SHAPE}
ASPECT_TOLERANCE = 0.005
ASPECT_LIMIT = 4.0  # pixels four times as high as wide are a mistake, not a detector
WIDE_LUT_SINCE = 5  # OpenCV's version whose LUT takes 16-bit sources: four times faster than numpy
WIDE_LUT = int(cv2.__version__.split(".")[0]) >= WIDE_LUT_SINCE


def render(frame: Frame, facts: Attributes, preprocessing: Preprocessing) -> View:
    """One decoded frame as a view."""
    table = value_table(frame.patterns, frame.layout, facts)
    grey, window_notes = displayed(table, facts)
    inverted = frame.layout.photometric == "MONOCHROME1"
    levels = np.floor((1.0 - grey if inverted else grey) * 255.0 + 0.5).astype(np.uint8)
    levels[table.padding] = 0
    aspect, aspect_notes = _aspect(facts)
    notes = frame.notes + table.notes + window_notes + _shape_notes(facts, inverted=inverted) + aspect_notes
    return View(pixels=resize(look_up(frame.patterns, levels), preprocessing, aspect), notes=notes)


def look_up(patterns: Patterns, levels: NDArray[np.uint8]) -> Pixels:
    """Each pattern's level, as [rows, columns]."""
    if patterns.dtype.itemsize == 1 or WIDE_LUT:
        return np.asarray(cv2.LUT(patterns, levels), np.uint8).reshape(patterns.shape)
    return np.take(levels, patterns)


def resize(pixels: Pixels, preprocessing: Preprocessing, aspect: float = 1.0) -> Pixels:
    """To the model's size. `aspect` is a pixel's height over its width; only a letterbox shows it."""
    rows, columns = pixels.shape
    image = Image.frombuffer("L", (columns, rows), pixels, "raw", "L", 0, 1)
    height, width = preprocessing.height, preprocessing.width
    if preprocessing.fit == "squash":
        return _resample(image, width, height, preprocessing.resampling)
    if preprocessing.fit != "letterbox":
        raise ValueError(f"fit is 'squash' or 'letterbox', not {preprocessing.fit!r}")
    scale = min(height / (rows * aspect), width / columns)
    inner_height = min(height, max(1, round(rows * aspect * scale)))
    inner_width = min(width, max(1, round(columns * scale)))
    canvas = np.zeros((height, width), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    inner = _resample(image, inner_width, inner_height, preprocessing.resampling)
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return canvas


def _resample(image: Image.Image, width: int, height: int, resampling: str) -> Pixels:
    if resampling not in ("bilinear", "box"):
        raise ValueError(f"resampling is 'bilinear' or 'box', not {resampling!r}")
    shrinks = image.width >= width and image.height >= height  # a box that enlarges would make blocks
    box = resampling == "box" and shrinks
    return np.asarray(image.resize((width, height), Image.Resampling.BOX if box else Image.Resampling.BILINEAR))


def _aspect(facts: Attributes) -> tuple[float, tuple[str, ...]]:
    """Height over width of a pixel (PS3.3 C.7.6.3.1.7): the aspect ratio counts only where no spacing is given."""
    for tag in (PIXEL_SPACING, IMAGER_SPACING, ASPECT):
        vertical, horizontal = (*facts.numbers(tag), 0.0, 0.0)[:2]
        if vertical <= 0 or horizontal <= 0:
            continue
        ratio = vertical / horizontal
        if not 1 / ASPECT_LIMIT <= ratio <= ASPECT_LIMIT:
            return 1.0, ("unlikely pixel aspect ratio: ignored",)
        if abs(ratio - 1) < ASPECT_TOLERANCE:
            return 1.0, ()
        return ratio, (f"pixels are {ratio:.2f} times as high as wide",)
    return 1.0, ()


def _shape_notes(facts: Attributes, *, inverted: bool) -> tuple[str, ...]:
    shape = facts.text(SHAPE).upper()
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != inverted:
        return (f"Presentation LUT Shape {shape} contradicts the Photometric Interpretation, which was followed",)
    return ()
