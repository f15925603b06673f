"""Text that somebody burned into an image near its borders: found, and painted over before a view is shown.

A letter is a figure of thin strokes that differs from what is around it by a step, not by a slope; text is three
or more of them in a row, of like height, on one line and of one grey. Rows that reach into the outer part of the
image, along or up it, are painted with the grey around them. A lead marker of one or two letters stays: it tells
left from right and names nobody. Works on the displayed image, reduced to about twice the view's size: what is
lost by that is too small to be read in the view. Finds print, not handwriting, and not what stands far inside.
Knows no DICOM.

Legend: n figures; boxes are [n, 4] as left, top, right, bottom, the ends excluded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.study import Pixels

WORKING = 2.75  # times the view's side, at most, is the shorter side at which letters are looked for
WIDEST_VIEW = 512  # pixels of the views that models ask for
BORDER = 0.15  # of each side: a row has a letter there
SEARCHED, WHOLE = 0.2, 0.5  # of each side: where figures are looked for, first and where text was found
STROKE = 13  # pixels, odd: a letter's strokes are thinner
STEP, REDUCED_STEP = 40, 24  # grey levels between a letter and its surroundings, at least; reducing thins strokes
LARGE_STEP = 100  # the same, asked a second time: letters of strong contrast run together at the smaller one
LOWEST, HIGHEST = 5, 72  # pixels of a letter's height
HIGHEST_SHARE = 0.07  # of the shorter side
THIN = 3  # pixels of an I's width
RUGGED = 1.25  # how much longer than its box' an outline of several letters is
MOST = 400  # candidates; an image with more is all texture, and the sharpest are judged
SHARP, CLEAR = 0.7, 0.5  # of its contrast that a letter's edge climbs within two pixels; that of a damaged one
GROWTH = 2.0  # times its width that a row may go on by damaged letters, at either end
ALIKE = 40  # grey levels by which the letters of a row may differ, thin ones included
FEWEST = 3  # letters of a row
ALIGNED = 0.7  # of a row's letters stand on one line, or hang from one

Boxes: TypeAlias = NDArray[np.intp]
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Relief:
    """How much each pixel differs from its surroundings, by lightness or by darkness; [height, width] each."""

    contrast: Pixels
    grey: Pixels  # the image itself
    is_light: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What stands out and has a size that letters have."""

    boxes: Boxes
    levels: NDArray[np.float64]  # [n] their own grey
    sharp: NDArray[np.bool_]  # [n] whether they may be letters by their edges too
    rugged: NDArray[np.bool_]  # [n] whether their outline may be that of several letters
    clear: NDArray[np.bool_]  # [n] whether they may be what is left of letters, beside others


def mask_text(pixels: Pixels, view_side: int = WIDEST_VIEW) -> tuple[Pixels, int]:
    """The image [rows, columns] without text near its borders, and how many regions were painted over.

    `view_side`: the larger side of the view that is made of it. The same array where nothing was found: an image
    without text is not copied.
    """
    boxes = find_text(pixels, view_side)
    if not len(boxes):
        return pixels, 0
    masked = pixels.copy()
    for left, top, right, bottom in boxes:
        edge = (
            *(pixels[top:bottom, left], pixels[top:bottom, right - 1]),
            *(pixels[top, left:right], pixels[bottom - 1, left:right]),
        )
        masked[top:bottom, left:right] = np.median(np.concatenate(edge))
    return masked, len(boxes)


def find_text(pixels: Pixels, view_side: int = WIDEST_VIEW) -> Boxes:
    """The boxes of rows of text near the borders that could be read in a view of `view_side`."""
    small, factor = pixels, 1
    while min(small.shape) > WORKING * view_side:
        small, factor = _halved(small), 2 * factor
    height, width = small.shape
    if min(height, width) < 4 * LOWEST:
        return np.empty((0, 4), np.intp)
    step = STEP if factor == 1 else REDUCED_STEP
    found = [row for relief in _reliefs(small) for row in _rows(relief, step, SEARCHED)]
    if found:  # once more, for where the rows go on further inside
        found = [row for relief in _reliefs(small) for row in _rows(relief, step, WHOLE)]
    return _merged(found, height=height, width=width) * factor


def _halved(pixels: Pixels) -> Pixels:
    """Means of 2×2 pixels: the one reduction that OpenCV does at the speed of memory."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _reliefs(small: Pixels) -> Iterator[Relief]:
    """What is lighter than its surroundings, then what is darker."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE, STROKE))
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        contrast = np.asarray(cv2.morphologyEx(small, kind, kernel), np.uint8)
        yield Relief(contrast=contrast, grey=small, is_light=kind == cv2.MORPH_TOPHAT)


def _rows(relief: Relief, step: int, searched: float) -> list[Box]:
    """Rows along the image, then rows up it: the same with both axes swapped."""
    height, width = relief.contrast.shape
    found: list[Box] = []
    for least in (step, LARGE_STEP):
        figures = _figures(relief, least, searched)
        if figures is not None:
            found += _text_rows(figures.boxes, figures, height=height, width=width)
            swapped = _text_rows(figures.boxes[:, [1, 0, 3, 2]], figures, height=width, width=height)
            found += [(left, top, right, bottom) for top, left, bottom, right in swapped]
    return found


def _figures(relief: Relief, step: int, searched: float) -> Figures | None:
    """What differs by more than `step`, in the outer part of the image; None when nothing does."""
    hot = np.asarray(cv2.threshold(relief.contrast, step, 1, cv2.THRESH_BINARY)[1], np.uint8)
    inner_y, inner_x = (round(searched * side) for side in hot.shape)
    hot[inner_y:-inner_y, inner_x:-inner_x] = 0
    outlines, hierarchy = cv2.findContours(hot, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outer = [line for line, place in zip(outlines, hierarchy[0], strict=True) if place[3] < 0 and len(line) > 1]
    boxes = np.array([cv2.boundingRect(line) for line in outer], np.intp).reshape(-1, 4)
    keep = np.flatnonzero(boxes[:, 2:].min(axis=1) <= HIGHEST)
    if len(keep) < FEWEST - 1:
        return None
    boxes = boxes[keep]
    number = np.array([len(outer[place]) for place in keep])
    starts = np.cumsum(number) - number
    x, y = np.concatenate([outer[place] for place in keep])[:, 0].T
    near, grey = _around(relief.contrast, y, x), _around(relief.grey, y, x)
    top = near.max(axis=0).astype(np.float64)
    sharpness = np.add.reduceat(top - near.min(axis=0), starts) / np.add.reduceat(top, starts)
    stroke = grey.max(axis=0) if relief.is_light else grey.min(axis=0)
    levels = np.add.reduceat(stroke.astype(np.float64), starts) / number
    rugged = number >= RUGGED * 2 * boxes[:, 2:].sum(axis=1)
    sharp = (sharpness >= SHARP) & _is_letter_like(boxes, rugged)
    boxes[:, 2:] += boxes[:, :2]
    best = np.argsort(-(sharp + sharpness), kind="stable")[:MOST]
    return Figures(
        boxes=boxes[best],
        levels=levels[best],
        sharp=sharp[best],
        rugged=rugged[best],
        clear=sharpness[best] >= CLEAR,
    )


def _around(image: Pixels, y: NDArray[np.int32], x: NDArray[np.int32]) -> Pixels:
    """[9, points] each point and its neighbours; at the image's edge it stands for those that are missing."""
    rows = [np.clip(y + step, 0, image.shape[0] - 1) for step in (-1, 0, 1)]
    columns = [np.clip(x + step, 0, image.shape[1] - 1) for step in (-1, 0, 1)]
    return np.stack([image[row, column] for row in rows for column in columns])


def _is_letter_like(extents: Boxes, rugged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[n] by left, top, width and height: what is long is several letters run together, and so rugged."""
    short, long = extents[:, 2:].min(axis=1), extents[:, 2:].max(axis=1)
    likely: NDArray[np.bool_] = (long >= LOWEST) & ((long <= 2 * short) | (short <= THIN) | rugged)
    return likely


def _text_rows(boxes: Boxes, figures: Figures, *, height: int, width: int) -> list[Box]:
    tall = boxes[:, 3] - boxes[:, 1]
    highest = min(HIGHEST, max(2 * LOWEST, HIGHEST_SHARE * min(height, width)))
    letters = np.flatnonzero(figures.sharp & (tall >= LOWEST) & (tall <= highest))
    found = []
    for group in _groups(_neighbours(boxes[letters], figures.levels[letters])):
        row = letters[group]
        if _is_text(boxes[row], figures.rugged[row]) and _is_at_border(boxes[row], height=height, width=width):
            found.append(_extent(boxes, figures, row))
    return found


def _neighbours(boxes: Boxes, levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[n, n] whether two letters can stand beside each other in a row."""
    left, top, right, bottom = boxes.T
    tall = bottom - top
    larger = np.maximum(tall[:, None], tall)
    gap = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    overlap = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    fits = (gap <= 1.1 * larger) & (gap > -0.5 * larger)
    fits &= (overlap >= 0.5 * np.minimum(tall[:, None], tall)) & (2.2 * np.minimum(tall[:, None], tall) >= larger)
    same: NDArray[np.bool_] = fits & (np.abs(levels[:, None] - levels) <= ALIKE)
    return same


def _groups(neighbours: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The connected sets of two or more."""
    label = np.arange(len(neighbours))
    linked = neighbours | np.eye(len(neighbours), dtype=np.bool_)
    while len(label):
        lowest = np.where(linked, label, len(label)).min(axis=1)
        if np.array_equal(lowest, label):
            break
        label = lowest
    order = np.argsort(label, kind="stable")
    cuts = [0, *(np.flatnonzero(np.diff(label[order])) + 1), len(order)]
    return [order[start:end] for start, end in pairwise(cuts) if end - start > 1]


def _is_text(boxes: Boxes, rugged: NDArray[np.bool_]) -> bool:
    """Enough letters, wide enough, and standing on one line or hanging from one."""
    left, top, right, bottom = boxes.T
    tall = float(np.median(bottom - top))
    letters = np.where(rugged, np.maximum(1, (right - left) / (0.8 * tall)), 1).sum()
    aligned = max(float((np.abs(edge - np.median(edge)) <= 0.1 * tall + 0.5).mean()) for edge in (top, bottom))
    return bool(letters >= FEWEST and right.max() - left.min() >= 1.5 * tall and aligned >= ALIGNED)


def _is_at_border(boxes: Boxes, *, height: int, width: int) -> bool:
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    near = (np.minimum(x, width - x) <= BORDER * width) | (np.minimum(y, height - y) <= BORDER * height)
    return bool(near.any())


def _extent(boxes: Boxes, figures: Figures, row: NDArray[np.intp]) -> Box:
    """The row with all that goes on in its line (hyphens, damaged letters), and room for dots and accents."""
    tall = float(np.median(boxes[row, 3] - boxes[row, 1]))
    left, top = boxes[row, :2].min(axis=0)
    right, bottom = boxes[row, 2:].max(axis=0)
    in_line = (boxes[:, 1] >= top - 0.4 * tall) & (boxes[:, 3] <= bottom + 0.4 * tall)
    in_line &= figures.clear & (np.abs(figures.levels - np.median(figures.levels[row])) <= ALIKE)
    room = GROWTH * (right - left)
    in_line &= (boxes[:, 0] >= left - room) & (boxes[:, 2] <= right + room)
    starts, ends = boxes[in_line, 0], boxes[in_line, 2]
    while True:
        near = (ends >= left - 1.5 * tall) & (starts <= right + 1.5 * tall)
        reach = min(left, starts[near].min(initial=left)), max(right, ends[near].max(initial=right))
        if reach == (left, right):
            break
        left, right = reach
    return left - 0.6 * tall, top - 0.35 * tall, right + 0.6 * tall, bottom + 0.35 * tall


def _merged(found: list[Box], *, height: int, width: int) -> Boxes:
    """Within the image, and without those that lie in another."""
    boxes = np.clip(np.array(found, np.intp).reshape(-1, 4), 0, [width, height] * 2)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[NDArray[np.intp]] = []
    for box in boxes[np.argsort(-area, kind="stable")]:
        if not any((box[:2] >= other[:2]).all() and (box[2:] <= other[2:]).all() for other in kept):
            kept.append(box)
    return np.array(kept, np.intp).reshape(-1, 4)
