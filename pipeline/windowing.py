"""Modality values to displayed grey, 0 to 1: VOI LUT or window (PS3.3 C.11.2), or where the values lie.

A VOI LUT beats a window: on images meant for presentation it is what the vendor's own display shows. Of several,
the first counts. A window that leaves the image blank is wrong, and so replaced by the 0.5–99.5 percentile; every
such decision becomes a note. Knows nothing of polarity.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Attributes
from pipeline.lookup import read_table
from pipeline.values import ValueTable

CENTER, WIDTH, FUNCTION, VOI_LUT = 0x00281050, 0x00281051, 0x00281056, 0x00283010
WINDOW_TAGS = frozenset({CENTER, WIDTH, FUNCTION, VOI_LUT})
BLANK = 0.02  # standard deviation of the displayed grey (0 to 1) under which an image shows nothing
DISPLAY_BITS = 8  # values of so few bits are what was displayed
PERCENTILES = (0.005, 0.995)

Grey: TypeAlias = NDArray[np.float64]  # one entry per pattern, 0 to 1


def displayed(table: ValueTable, facts: Attributes) -> tuple[Grey, tuple[str, ...]]:
    """The grey of each pattern, and what had to be decided."""
    grey, notes = _declared(table, facts)
    if grey is not None:
        if _spread(grey, table.counts) >= BLANK:
            return grey, notes
        notes = (*notes, "the declared window leaves the image blank: 0.5–99.5 percentile")
    elif table.bits <= DISPLAY_BITS:
        return _clip_linear(table.values, table.low, table.high), notes
    else:
        notes = (*notes, "no window: 0.5–99.5 percentile")
    low, high = _percentiles(table)
    if low == high:
        notes = (*notes, "the image is of one grey")
    return _clip_linear(table.values, low, high), notes


def _declared(table: ValueTable, facts: Attributes) -> tuple[Grey | None, tuple[str, ...]]:
    lut = read_table(facts, VOI_LUT, signed_input=table.low < 0, name="VOI LUT")
    if lut is not None:
        return lut.apply(table.values) / lut.maximum, lut.notes
    centers, widths = facts.numbers(CENTER), facts.numbers(WIDTH)
    if not centers or not widths:
        return None, ()
    notes = (f"the first of {len(centers)} windows",) if len(centers) > 1 else ()
    if widths[0] <= 1:
        return None, (*notes, "Window Width of 1 or less: ignored")
    function = facts.text(FUNCTION).upper() or "LINEAR"
    if function not in FUNCTIONS:
        notes = (*notes, "unknown VOI LUT Function: read as LINEAR")
    return FUNCTIONS.get(function, linear)(table.values, centers[0], widths[0]), notes


def linear(values: NDArray[np.float64], center: float, width: float) -> Grey:
    """PS3.3 C.11.2.1.2.1."""
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def linear_exact(values: NDArray[np.float64], center: float, width: float) -> Grey:
    """PS3.3 C.11.2.1.3.2."""
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def sigmoid(values: NDArray[np.float64], center: float, width: float) -> Grey:
    """PS3.3 C.11.2.1.3.1; the exponent is clipped where a double would overflow and the grey is 0 anyway."""
    return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0)))


FUNCTIONS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


def _clip_linear(values: NDArray[np.float64], low: float, high: float) -> Grey:
    if high <= low:
        return np.zeros(len(values))
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _spread(grey: Grey, counts: NDArray[np.int64]) -> float:
    total = max(1, int(counts.sum()))
    mean = float((grey * counts).sum()) / total  # not `@`: BLAS would start its threads, one for each core
    return math.sqrt(float(((grey - mean) ** 2 * counts).sum()) / total)


def _percentiles(table: ValueTable) -> tuple[float, float]:
    present = np.flatnonzero(table.counts)
    if not len(present):
        return 0.0, 0.0
    order = present[np.argsort(table.values[present], kind="stable")]
    share = np.cumsum(table.counts[order]) / table.counts.sum()
    low, high = (order[min(int(np.searchsorted(share, p)), len(order) - 1)] for p in PERCENTILES)
    return float(table.values[low]), float(table.values[high])
