"""What a compressed frame says about itself, read from its own marker segments before any decoder sees it.

Decoders believe these figures and allocate by them; a frame header of 65500×65500 costs some of them 30 seconds
and 6 GB, and a frame without its end is decoded to a half-black image without an error. So both are looked at
here. JPEG: ISO 10918-1 B.2.2; JPEG-LS: ISO 14495-1 C.2.2; JPEG 2000: ISO 15444-1 A.5.1. Decodes nothing.
"""

from dataclasses import dataclass
from struct import unpack_from

from pipeline.errors import BadObject
from pipeline.layout import Layout

JUNK_LIMIT = 512  # bytes before the first marker that some writers leave
TAIL = 16  # bytes in which the end marker must stand: 219 of 220 real frames have their padding shorter
END = b"\xff\xd9"  # EOI, and EOC of JPEG 2000
MARK = 0xFF
JPEG_LS_FRAME = 0xF7
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG and DAC
SCAN_OR_END = frozenset({0xD9, 0xDA})
BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
LOWEST_PRECISION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Codestream:
    """A frame's own claim."""

    kind: str  # "JPEG", "JPEG-LS" or "JPEG 2000"
    rows: int
    columns: int
    samples: int
    precision: int  # bits
    start: int  # offset of the first marker in the frame


def parse(frame: bytes) -> Codestream:
    """Find the frame header; BadObject when there is none."""
    for magic, reader in ((b"\xff\x4f\xff\x51", _j2k), (b"\xff\xd8\xff", _jpeg)):
        start = frame.find(magic, 0, JUNK_LIMIT)
        if start >= 0:
            try:
                return reader(frame, start)
            except (IndexError, ValueError) as error:
                raise BadObject("the compressed frame's header is damaged") from error
    raise BadObject("the compressed frame begins with no JPEG, JPEG-LS or JPEG 2000 marker")


def check(stream: Codestream, frame: bytes, layout: Layout) -> None:
    """BadObject unless the frame is what the header claims, and has its end."""
    claimed = (layout.rows, layout.columns, layout.samples)
    if (stream.rows, stream.columns, stream.samples) != claimed:
        raise BadObject(
            f"the {stream.kind} frame is {stream.columns} × {stream.rows} × {stream.samples}, "
            f"the header says {layout.columns} × {layout.rows} × {layout.samples}"
        )
    if not LOWEST_PRECISION <= stream.precision <= layout.bits_allocated:
        raise BadObject(
            f"the {stream.kind} frame has {stream.precision} bits, the header allocates {layout.bits_allocated}"
        )
    if END not in frame[-TAIL:]:
        raise BadObject(f"{stream.kind} codestream truncated: no end marker in the last {TAIL} bytes")


def _jpeg(frame: bytes, start: int) -> Codestream:
    at = start + 2
    while True:
        at, marker = _marker(frame, at)
        if marker == JPEG_LS_FRAME or marker in JPEG_FRAMES:
            precision, rows, columns, samples = _fields(">BHHB", frame, at + 2)
            kind = "JPEG-LS" if marker == JPEG_LS_FRAME else "JPEG"
            return Codestream(
                kind=kind, rows=rows, columns=columns, samples=samples, precision=precision, start=start
            )
        if marker in SCAN_OR_END:
            raise ValueError("the scan begins before the frame header")
        if marker not in BARE:
            at += max(2, _fields(">H", frame, at)[0])


def _marker(frame: bytes, at: int) -> tuple[int, int]:
    """The marker at or after `at`, and the offset behind it. Fill bytes FF may stand before it (B.1.1.2)."""
    if frame[at] != MARK:
        raise ValueError("no marker where a segment ends")
    while frame[at] == MARK:
        at += 1
    return at + 1, frame[at]


def _j2k(frame: bytes, start: int) -> Codestream:
    x1, y1, x0, y0 = _fields(">LLLL", frame, start + 8)
    (samples,) = _fields(">H", frame, start + 40)
    depths = {frame[start + 42 + 3 * component] & 0x7F for component in range(min(samples, 4))}
    steps = {frame[start + 43 + 3 * c : start + 45 + 3 * c] for c in range(min(samples, 4))}
    if steps != {b"\1\1"}:
        raise BadObject("the JPEG 2000 frame's components are subsampled")
    return Codestream(
        kind="JPEG 2000",
        rows=y1 - y0,
        columns=x1 - x0,
        samples=samples,
        precision=max(depths) + 1,
        start=start,
    )


def _fields(form: str, frame: bytes, at: int) -> tuple[int, ...]:
    try:
        return unpack_from(form, frame, at)
    except Exception as error:
        raise ValueError("the frame ends in its header") from error
