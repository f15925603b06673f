"""Stored patterns to a model-ready view: arrays in, arrays out.

The order is the standard's (PS3.3 C.11 and C.7.6.3.1.2): mask and sign, padding, modality, VOI, inversion, 8
bits; all of it folded into one table of an entry per pattern and one look-up, then the resize (see `resizing`).
MONOCHROME1 is inverted after VOI; Presentation LUT Shape says the same thing a second time (C.8.11.3) and so is
never applied, only compared.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Attributes
from pipeline.burned_in import mask_text
from pipeline.codecs import Frame, Patterns
from pipeline.resizing import resize
from pipeline.shrinking import shrink
from pipeline.study import Pixels, Preprocessing, View
from pipeline.values import VALUE_TAGS, value_table
from pipeline.windowing import WINDOW_TAGS, displayed

PIXEL_SPACING, IMAGER_SPACING, ASPECT, SHAPE = 0x00280030, 0x00181164, 0x00280034, 0x20500020
RENDER_TAGS = VALUE_TAGS | WINDOW_TAGS | {PIXEL_SPACING, IMAGER_SPACING, ASPECT, SHAPE}
ASPECT_TOLERANCE = 0.005
ASPECT_LIMIT = 4.0  # pixels four times as high as wide are a mistake, not a detector
WIDE_LUT_SINCE = 5  # OpenCV's version whose LUT takes 16-bit sources: four times faster than numpy
WIDE_LUT = int(cv2.__version__.split(".")[0]) >= WIDE_LUT_SINCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Displayed:
    """A frame as it is meant to be looked at, at its own size."""

    pixels: Pixels  # [rows, columns]
    aspect: float  # height of a pixel over its width
    notes: tuple[str, ...]


def render(frame: Frame, facts: Attributes, preprocessing: Preprocessing, *, masks_text: bool = True) -> View:
    """One decoded frame as a view."""
    shown = display(frame, facts)
    pixels, notes = shown.pixels, shown.notes
    if masks_text:
        pixels, count = mask_text(pixels, max(preprocessing.height, preprocessing.width))
        notes = (*notes, f"text near the border masked: {count} region{'s' * (count > 1)}") if count else notes
    return View(pixels=resize(pixels, preprocessing, shown.aspect, by=shrink), notes=notes)


def display(frame: Frame, facts: Attributes) -> Displayed:
    """One decoded frame in 8 bits, before any resize; tests compare it with other programs' display."""
    table = value_table(frame.patterns, frame.layout, facts)
    grey, window_notes = displayed(table, facts)
    inverted = frame.layout.photometric == "MONOCHROME1"
    levels = np.floor((1.0 - grey if inverted else grey) * 255.0 + 0.5).astype(np.uint8)
    levels[table.padding] = 0
    aspect, aspect_notes = _aspect(facts)
    notes = frame.notes + table.notes + window_notes + _shape_notes(facts, inverted=inverted) + aspect_notes
    return Displayed(pixels=look_up(frame.patterns, levels), aspect=aspect, notes=notes)


def look_up(patterns: Patterns, levels: NDArray[np.uint8]) -> Pixels:
    """Each pattern's level, as [rows, columns]. Patterns beyond the table begin it again."""
    levels = np.tile(levels, (1 << 8 * patterns.dtype.itemsize) // len(levels))
    if patterns.dtype.itemsize == 1 or WIDE_LUT:
        return np.asarray(cv2.LUT(patterns, levels), np.uint8).reshape(patterns.shape)
    return np.take(levels, patterns)


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
