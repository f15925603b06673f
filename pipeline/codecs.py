"""The first frame as an array of stored values, whatever the transfer syntax did to it.

Uncompressed samples are views of the buffer that was read. Compressed ones go through imagecodecs (libjpeg-turbo,
CharLS, OpenJPEG: one permissive set that decodes everything that any other does), but only after
`pipeline.codestream` has compared the frame's own claims with the header's. The codestream decides which decoder
is used: transfer syntaxes lie. Values come out as unsigned patterns; sign and mask are for `pipeline.values`.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.codestream import Codestream, check, parse
from pipeline.encapsulation import first_frame
from pipeline.errors import BadObject
from pipeline.layout import Layout

Patterns: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

_UID = "1.2.840.10008.1.2"
NATIVE = frozenset({_UID, f"{_UID}.1", f"{_UID}.2", f"{_UID}.1.99"})
EXPLICIT_BIG = f"{_UID}.2"
RLE = f"{_UID}.5"
RLE_HEADER = 64  # bytes
WORD = 16  # bits
EXPANSION = 2  # a compressed frame may be larger than without compression, but not twice
FRAME_OVERHEAD = 1 << 20  # bytes; colour profiles and comments of a small image
DEFLATED_FRAME = f"{_UID}.8.1"
UNMARKED = frozenset({RLE, DEFLATED_FRAME})  # their streams do not tell where they end
DECODED = (
    NATIVE
    | UNMARKED
    | frozenset(f"{_UID}.4.{number}" for number in (50, 51, 53, 55, 57, 70, 80, 81, 90, 91, 92, 93, 201, 202, 203))
)
LUMA_FIRST = frozenset({"YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One decoded grey frame, and what decoding learned about its bits."""

    patterns: Patterns  # [rows, columns] the stored bit patterns, unsigned
    layout: Layout  # with Bits Stored and High Bit as the codestream has them, where it knows better
    notes: tuple[str, ...] = ()


def decode(data: memoryview, layout: Layout, *, transfer_syntax: str, encapsulated: bool, vr: str) -> Frame:
    """The first frame of a Pixel Data value; BadObject when it cannot be had whole."""
    notes = (f"the first of {layout.frames} frames",) if layout.frames > 1 else ()
    if transfer_syntax not in DECODED:
        raise BadObject(f"transfer syntax {transfer_syntax} cannot be decoded")
    if transfer_syntax in NATIVE:
        if encapsulated:
            raise BadObject("the pixel data is encapsulated, the transfer syntax says it is not")
        samples = _native(data, layout, big_endian=transfer_syntax == EXPLICIT_BIG, vr=vr)
    elif not encapsulated:
        raise BadObject("the pixel data is not encapsulated, the transfer syntax says it is")
    else:
        limit = EXPANSION * layout.frame_bytes + FRAME_OVERHEAD
        content = first_frame(data, layout.frames, limit=limit, marked=transfer_syntax not in UNMARKED)
        samples, layout = _compressed(content, layout, transfer_syntax)
    grey, colour_notes = _grey(samples, layout)
    return Frame(patterns=grey, layout=layout, notes=notes + colour_notes)


def _native(data: memoryview, layout: Layout, *, big_endian: bool, vr: str) -> Patterns:
    if len(data) < layout.frame_bytes:
        raise BadObject(f"pixel data truncated: {len(data)} of {layout.frame_bytes} bytes")
    if layout.bits_allocated == WORD:
        values = np.frombuffer(data, ">u2" if big_endian else "<u2", layout.frame_bytes // 2)
        return _shaped(values.astype(np.uint16, copy=False), layout)
    if big_endian and vr == "OW":  # PS3.5 A.3: bytes in words, so every pair stands the wrong way round
        even = layout.frame_bytes + layout.frame_bytes % 2
        swapped = np.frombuffer(bytes(data[:even]).ljust(even, b"\0"), np.uint16).byteswap().view(np.uint8)
        return _shaped(swapped[: layout.frame_bytes], layout)
    return _shaped(np.frombuffer(data, np.uint8, layout.frame_bytes), layout)


def _shaped(values: Patterns, layout: Layout) -> Patterns:
    """[rows, columns] or [rows, columns, 3] from the order in which samples are stored."""
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns)
    if layout.photometric == "YBR_FULL_422":  # Y Y Cb Cr for each two pixels: keep the luma
        luma = values.reshape(layout.rows, -1, 4)[:, :, :2].reshape(layout.rows, -1)
        return luma[:, : layout.columns]
    if layout.planar:
        return np.moveaxis(values.reshape(3, layout.rows, layout.columns), 0, -1)
    return values.reshape(layout.rows, layout.columns, 3)


def _compressed(frame: bytes, layout: Layout, transfer_syntax: str) -> tuple[Patterns, Layout]:
    if not frame:
        raise BadObject("the pixel data holds no frame")
    if transfer_syntax == RLE:
        return _rle(frame, layout), layout
    if transfer_syntax == DEFLATED_FRAME:
        return _deflated(frame, layout), layout
    stream = parse(frame)
    frame = frame[stream.start :]
    check(stream, frame, layout)
    decoder = _decoder(stream, layout)
    try:
        values = decoder(frame)
    except RuntimeError as error:  # every decoder of imagecodecs has its own kind of it
        raise BadObject(f"the {stream.kind} frame is damaged: its decoder gives up") from error
    if values.shape[:2] != (layout.rows, layout.columns) or values.dtype.itemsize > np.dtype(np.uint16).itemsize:
        raise BadObject(f"the {stream.kind} frame decoded to another size than it stated")
    patterns: Patterns = values.view(np.uint8) if values.dtype.itemsize == 1 else values.view(np.uint16)
    return patterns, _bits(stream, layout)


def _decoder(stream: Codestream, layout: Layout) -> Callable[[bytes], NDArray[Any]]:
    if stream.kind == "JPEG-LS":
        return imagecodecs.jpegls_decode
    if stream.kind == "JPEG 2000":
        # For high throughput too: OpenJPH is three times faster, but wraps 256 to 0 where it is lossy, and gives a
        # damaged frame back as a sound one.
        return imagecodecs.jpeg2k_decode
    if layout.samples == 1:
        return imagecodecs.jpeg_decode
    space = "RGB" if layout.photometric == "RGB" else "YCBCR"
    return lambda frame: imagecodecs.jpeg_decode(frame, colorspace=space, outcolorspace=space)


def _bits(stream: Codestream, layout: Layout) -> Layout:
    """A codestream cannot hold more bits than its precision. It may hold fewer: encoders round up to 16."""
    if stream.precision >= layout.bits_stored:
        return layout
    return replace(layout, bits_stored=stream.precision, high_bit=stream.precision - 1)


def _rle(frame: bytes, layout: Layout) -> Patterns:
    """PS3.5 annex G: one segment per byte of a sample, most significant first, colours by plane."""
    width = layout.bits_allocated // 8
    count = int.from_bytes(frame[:4], "little")
    if len(frame) < RLE_HEADER or count != layout.samples * width:
        raise BadObject(f"the RLE frame has {count} segments, the header needs {layout.samples * width}")
    dtype = np.dtype(np.uint8 if width == 1 else np.uint16)
    room = np.empty(layout.rows * layout.columns * layout.samples * width, np.uint8)
    try:
        written = imagecodecs.dicomrle_decode(frame, dtype, out=room.data)
    except (RuntimeError, ValueError) as error:
        raise BadObject("the RLE frame is damaged") from error
    if len(written) != len(room):
        raise BadObject(f"the RLE frame holds {len(written)} of {len(room)} bytes")
    if layout.samples == 1:
        return room.view(dtype).reshape(layout.rows, layout.columns)
    return np.moveaxis(room.view(dtype).reshape(3, layout.rows, layout.columns), 0, -1)


def _deflated(frame: bytes, layout: Layout) -> Patterns:
    try:
        raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, layout.frame_bytes)
    except zlib.error as error:
        raise BadObject("the deflated frame is damaged") from error
    return _native(memoryview(raw), layout, big_endian=False, vr="OB")


def _grey(samples: Patterns, layout: Layout) -> tuple[Patterns, tuple[str, ...]]:
    """Colour becomes luma (ITU-R BT.601, as YBR has it): a radiograph in colour is a screenshot of one."""
    if layout.samples == 1:
        return _contiguous(samples), ()
    note = (f"colour ({layout.photometric}) reduced to its luma",)
    if samples.shape == (layout.rows, layout.columns):
        return _contiguous(samples), note
    if layout.photometric in LUMA_FIRST:
        return _contiguous(samples[:, :, 0]), note
    luma = np.asarray(cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_RGB2GRAY))
    return (luma.view(np.uint8) if samples.itemsize == 1 else luma.view(np.uint16)), note


def _contiguous(samples: Patterns) -> Patterns:
    return samples if samples.flags.c_contiguous else samples.copy()
