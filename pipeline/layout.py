"""How an object's pixels are stored, as its header claims it (PS3.3 C.7.6.3), held to limits before they are read.

Assumes an object that passed the gate. Allocates nothing: a header may claim 65535×65535×10000.
"""

from dataclasses import dataclass

from pipeline.attributes import Attributes
from pipeline.errors import BadObject, NotForUs

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS = 0x00280010, 0x00280011
BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION = 0x00280100, 0x00280101, 0x00280102, 0x00280103
LAYOUT_TAGS = frozenset(
    {SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS}
    | {BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION}
)
PIXEL_LIMIT = 64 << 20  # the largest radiographs, stitched spines aside, have 20 megapixels
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420"})
BY_SAMPLES = {1: GREY, 3: COLOUR}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What is needed to find one frame's samples."""

    rows: int
    columns: int
    samples: int  # per pixel: 1 or 3
    photometric: str
    planar: bool  # colour by plane, not by pixel
    bits_allocated: int  # 8 or 16
    bits_stored: int
    high_bit: int
    signed: bool
    frames: int  # as claimed, at least 1; only the first is ever read

    @property
    def frame_bytes(self) -> int:
        """The size of one frame without compression."""
        if self.photometric == "YBR_FULL_422":
            return self.rows * (self.columns + self.columns % 2) * 2 * self.bits_allocated // 8
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def layout_of(facts: Attributes) -> Layout:
    """Read and judge the claim; BadObject when it cannot be met, NotForUs when it is no radiograph's."""
    rows, columns = _size(facts)
    samples = facts.integer(SAMPLES) or 1
    photometric = facts.text(PHOTOMETRIC).upper()
    if photometric not in BY_SAMPLES.get(samples, ()):
        raise NotForUs(
            f"no grey or true colour image: {_photometric_name(photometric)}, {samples} samples per pixel"
        )
    allocated = facts.integer(BITS_ALLOCATED) or 0
    if allocated not in (8, 16):
        raise NotForUs(f"{allocated} bits allocated per sample; 8 and 16 are read")
    stored, high = _bits(facts, allocated)
    return Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        planar=facts.integer(PLANAR) == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=facts.integer(PIXEL_REPRESENTATION) == 1,
        frames=max(1, facts.integer(FRAMES) or 1),
    )


def _size(facts: Attributes) -> tuple[int, int]:
    rows, columns = facts.integer(ROWS), facts.integer(COLUMNS)
    if not rows or not columns or rows < 0 or columns < 0:
        raise BadObject("no usable Rows and Columns")
    if rows * columns > PIXEL_LIMIT:
        raise BadObject(f"claims {columns} × {rows} pixels; the limit is {PIXEL_LIMIT >> 20} megapixels")
    return rows, columns


def _bits(facts: Attributes, allocated: int) -> tuple[int, int]:
    """Bits Stored and High Bit; what contradicts Bits Allocated is read as if it filled it."""
    stored = facts.integer(BITS_STORED) or allocated
    if not 1 < stored <= allocated:
        stored = allocated
    high = facts.integer(HIGH_BIT)
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    return stored, high


def _photometric_name(value: str) -> str:
    known = GREY | COLOUR | {"PALETTE COLOR", "HSV", "ARGB", "CMYK", "XYB"}
    return value if value in known else "an undefined Photometric Interpretation" if value else "none stated"
