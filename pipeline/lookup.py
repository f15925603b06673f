"""Look-up table sequences: Modality LUT (PS3.3 C.11.1) and VOI LUT (C.11.2.1.1), read although vendors' lie.

They lie in three ways: entries need more bits than are declared, or far fewer; fewer entries stand there than are
declared; the first value mapped has the wrong sign. A table that cannot be read at all is as if it were absent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import Attributes
from pipeline.elements import UNDEFINED

DESCRIPTOR, DATA = 0x00283002, 0x00283006
TABLE_TAGS = frozenset({DESCRIPTOR, DATA})
SIGN_BIT = 0x8000
DESCRIPTOR_WORDS = 3  # number of entries, first input mapped, bits per entry
FEWEST_ENTRIES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class LookupTable:
    """Entry `i` is the output for the input `first + i`; inputs beyond either end take the end's entry."""

    first: int
    entries: NDArray[np.float64]
    maximum: float  # the largest output that its bits could hold
    notes: tuple[str, ...] = ()

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs for an array of inputs."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        outputs: NDArray[np.float64] = self.entries[index]
        return outputs


def read_table(facts: Attributes, sequence: int, *, signed_input: bool, name: str) -> LookupTable | None:
    """The table in a sequence's first item; None when there is none that can be used."""
    item = facts.item(sequence, TABLE_TAGS)
    if item is None:
        return None
    descriptor = item.words(DESCRIPTOR)
    data = item.raw(DATA)
    if len(descriptor) != DESCRIPTOR_WORDS or data is None or data.length == UNDEFINED:
        return None
    declared = descriptor[0] or 1 << 16
    first = descriptor[1]
    element = item.raw(DESCRIPTOR)
    is_signed = element is not None and (element.vr == "SS" or (element.vr != "US" and signed_input))
    if first & SIGN_BIT and (is_signed or signed_input):
        first -= 1 << 16
    entries = _entries(data.value, declared, item.byte_order())
    if len(entries) < FEWEST_ENTRIES:
        return None
    short = (f"{name}: {len(entries)} of {declared} entries",) if len(entries) < declared else ()
    return LookupTable(first=first, entries=entries, maximum=_maximum(entries, descriptor[2]), notes=short)


def _entries(value: bytes, declared: int, byte_order: str) -> NDArray[np.float64]:
    if len(value) in (declared, declared + declared % 2):  # 8-bit entries, two in a word
        return np.frombuffer(value, np.uint8, declared).astype(np.float64)
    count = min(declared, len(value) // 2)
    return np.frombuffer(value, f"{byte_order}u2", count).astype(np.float64)


def _maximum(entries: NDArray[np.float64], declared_bits: int) -> float:
    needed = max(1, int(entries.max()).bit_length())
    bits = declared_bits if declared_bits - 1 <= needed <= declared_bits else needed
    return float((1 << bits) - 1)
