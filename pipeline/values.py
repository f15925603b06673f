"""Stored bit patterns to modality values: mask, sign (PS3.3 C.7.6.3.1), padding (C.7.5.1.1.2), rescale (C.11.1).

Everything is worked out once per possible pattern of the bits in use (4,096 of them for 12), never per pixel: the
image is only looked up in the end. What has to be known of the image itself (where its values lie) comes from some
of its pixels.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Attributes
from pipeline.codecs import Patterns
from pipeline.layout import Layout
from pipeline.lookup import LookupTable, read_table

PADDING, PADDING_LIMIT = 0x00280120, 0x00280121
INTERCEPT, SLOPE, MODALITY_LUT = 0x00281052, 0x00281053, 0x00283000
VALUE_TAGS = frozenset({PADDING, PADDING_LIMIT, INTERCEPT, SLOPE, MODALITY_LUT})

SAMPLE = 1 << 18  # pixels looked at for statistics
OVERFLOW_SHARE = 0.05  # more than this above Bits Stored, and Bits Stored lies; less is an embedded overlay
RESCALE_LIMIT = 1e12
PADDING_SHARE = 0.995  # padding that covers more than this is none


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueTable:
    """For each pattern of the bits that are used: its modality value, its frequency, whether it pads.

    Bits above change nothing: a pattern that has some means what the same one without them means.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]  # in a sample of the pixels, padding excluded
    padding: NDArray[np.bool_]
    low: float  # the modality values between which every stored value falls
    high: float
    bits: int  # stored
    notes: tuple[str, ...]


def value_table(patterns: Patterns, layout: Layout, facts: Attributes) -> ValueTable:
    """Work out what each pattern means."""
    size = 256 if patterns.dtype.itemsize == 1 else 65536
    counts = _histogram(patterns, size)
    bits, shift, notes = _width(counts, layout, size)
    counts = counts.reshape(-1, 1 << bits + shift).sum(axis=0)
    stored = _stored(np.arange(len(counts)) >> shift, bits, signed=layout.signed)
    padding, padding_notes = _padding(stored, counts, facts, layout)
    ends = np.array([-(1 << bits - 1), (1 << bits - 1) - 1] if layout.signed else [0, (1 << bits) - 1], np.float64)
    mapped, mapped_ends, modality_notes = _modality(stored.astype(np.float64), ends, facts, layout)
    return ValueTable(
        values=mapped,
        counts=np.where(padding, 0, counts),
        padding=padding,
        low=float(mapped_ends.min()),
        high=float(mapped_ends.max()),
        bits=bits,
        notes=notes + padding_notes + modality_notes,
    )


def _histogram(patterns: Patterns, size: int) -> NDArray[np.int64]:
    """How often each pattern stands in a regular sample: exact for small images, and the same at every run."""
    rows, columns = patterns.shape
    step = max(1, round((rows * columns / SAMPLE) ** 0.5))
    sample: Any = np.ascontiguousarray(patterns[::step, ::step])
    return np.asarray(cv2.calcHist([sample], [0], None, [size], [0, size]), np.int64).ravel()


def _width(counts: NDArray[np.int64], layout: Layout, size: int) -> tuple[int, int, tuple[str, ...]]:
    """Bits and shift of a stored value; wider than stated when the pixels show that the header is wrong."""
    container = size.bit_length() - 1
    bits = min(layout.bits_stored, container)
    shift = max(0, min(layout.high_bit, container - 1) - bits + 1)
    if _above(counts, bits + shift, signed=layout.signed) <= OVERFLOW_SHARE * counts.sum():
        return bits, shift, ()
    wide = int(np.flatnonzero(counts)[-1]).bit_length()
    return wide, 0, (f"pixels use {wide} bits, Bits Stored says {bits}",)


def _above(counts: NDArray[np.int64], used: int, *, signed: bool) -> int:
    """How many pixels have bits above those used, other than a negative value's sign written on to the top."""
    extended = len(counts) - (1 << used - 1) if signed else len(counts)
    return int(counts[1 << used : max(extended, 1 << used)].sum())


def _stored(patterns: NDArray[np.int64], bits: int, *, signed: bool) -> NDArray[np.int64]:
    """Mask to Bits Stored, and extend the sign from there, not from Bits Allocated."""
    masked = patterns & ((1 << bits) - 1)
    return np.where(masked >> bits - 1, masked - (1 << bits), masked) if signed else masked


def _padding(
    stored: NDArray[np.int64], counts: NDArray[np.int64], facts: Attributes, layout: Layout
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Padding is compared with stored values, before any table."""
    value, limit = _signed(facts, PADDING, layout), _signed(facts, PADDING_LIMIT, layout)
    none = np.zeros(len(stored), np.bool_)
    if value is None:
        return none, ()
    low, high = min(value, value if limit is None else limit), max(value, value if limit is None else limit)
    mask = (stored >= low) & (stored <= high)
    if counts[mask].sum() > PADDING_SHARE * counts.sum():
        return none, ("pixel padding would cover the whole image: ignored",)
    return mask, ()


def _signed(facts: Attributes, tag: int, layout: Layout) -> int | None:
    """A value of VR US or SS, with the sign that Pixel Representation gives it."""
    words = facts.words(tag)
    if not words:
        return None
    return words[0] - (1 << 16) if layout.signed and words[0] & 0x8000 else words[0]


def _modality(
    stored: NDArray[np.float64], ends: NDArray[np.float64], facts: Attributes, layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Modality LUT if there is one, else rescale. A negative slope swaps light and dark: that is its meaning."""
    table = read_table(facts, MODALITY_LUT, signed_input=layout.signed, name="Modality LUT")
    if table is not None:
        return table.apply(stored), _ends_of(table), table.notes
    slope = next(iter(facts.numbers(SLOPE)), 1.0)
    intercept = next(iter(facts.numbers(INTERCEPT)), 0.0)
    if slope == 0 or max(abs(slope), abs(intercept)) > RESCALE_LIMIT:
        return stored, ends, ("Rescale Slope or Intercept unusable: ignored",)
    return stored * slope + intercept, ends * slope + intercept, ()


def _ends_of(table: LookupTable) -> NDArray[np.float64]:
    return np.array([0.0, table.maximum])
