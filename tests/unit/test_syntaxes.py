"""What was encoded comes out: every transfer syntax at every depth, one frame or several, in one piece or many."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.codestreams import ENCODERS, Encoder
from tests.dicom_builder import dicom_bytes
from tests.gateless import show_bytes

ROWS, COLUMNS = 40, 48


def phantom(bits: int, frame: int = 0) -> NDArray[Any]:
    """A slope with a bright spot, elsewhere in each frame, over the whole range, as [rows, columns]."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    spot = 0.3 * np.exp(-((y - 12 - 8 * frame) ** 2 + (x - 20) ** 2) / 40)
    level = ((x + y) / (ROWS + COLUMNS - 2) * 0.7 + spot) * ((1 << bits) - 1)
    pixels: NDArray[Any] = np.rint(level).astype(np.uint8 if bits <= 8 else np.uint16)
    return pixels


FRAMES = {bits: [phantom(bits, frame) for frame in range(3)] for bits in (8, 12, 16)}
CASES = [(name, bits) for name, encoder in ENCODERS.items() for bits in encoder.depths]
LAYOUTS = {
    "three frames": {"has_bot": False, "fragments_per_frame": 1},
    "three frames, offset table": {"has_bot": True, "fragments_per_frame": 1},
    "three frames in pieces": {"has_bot": False, "fragments_per_frame": 3},
    "three frames in pieces, offset table": {"has_bot": True, "fragments_per_frame": 3},
}


def _decoded(encoder: Encoder, bits: int, **elements: Any) -> NDArray[Any]:
    content = dicom_bytes(FRAMES[bits][0], syntax=encoder.syntax, bits=bits, frame=b"\0\0", **elements)
    return show_bytes(content).frame.patterns


def _assert_is_first_frame(found: NDArray[Any], encoder: Encoder, bits: int) -> None:
    off = np.abs(found.astype(int) - FRAMES[bits][0]).max()
    assert off <= encoder.loss * (1 << bits)


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_a_frame_is_what_was_encoded(name: str, bits: int) -> None:
    encoder = ENCODERS[name]
    data = encapsulate([bytes(encoder.encode(FRAMES[bits][0], bits))])
    _assert_is_first_frame(_decoded(encoder, bits, PixelData=data), encoder, bits)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        (name, layout)
        for name, encoder in ENCODERS.items()
        for layout in LAYOUTS
        if not (encoder.in_one_fragment and layout == "three frames in pieces")  # nothing could tell them apart
    ],
)
def test_of_several_frames_the_first_is_what_was_encoded(name: str, layout: str) -> None:
    encoder = ENCODERS[name]
    bits = encoder.depths[-1]
    frames = [bytes(encoder.encode(image, bits)) for image in FRAMES[bits]]
    data = encapsulate(frames, **LAYOUTS[layout])  # type: ignore[arg-type]
    found = _decoded(encoder, bits, PixelData=data, NumberOfFrames=3)
    _assert_is_first_frame(found, encoder, bits)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_extended_offset_table_changes_nothing(name: str) -> None:
    encoder = ENCODERS[name]
    bits = encoder.depths[-1]
    frames = [bytes(encoder.encode(image, bits)) for image in FRAMES[bits]]
    data, offsets, lengths = encapsulate_extended(frames)
    elements = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    found = _decoded(encoder, bits, PixelData=data, NumberOfFrames=3, **elements)
    _assert_is_first_frame(found, encoder, bits)


@pytest.mark.parametrize("name", [name for name, encoder in ENCODERS.items() if encoder.in_one_fragment])
def test_a_later_frame_that_ends_as_a_jpeg_does_is_no_part_of_the_first(name: str) -> None:
    encoder = ENCODERS[name]
    frames = [bytes(encoder.encode(image, 16)) for image in FRAMES[16]]
    data = encapsulate([frames[0], frames[1] + b"\xff\xd9", frames[2]], has_bot=False)
    _assert_is_first_frame(_decoded(encoder, 16, PixelData=data, NumberOfFrames=3), encoder, 16)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_an_uncompressed_frame_is_what_was_written(syntax: str, bits: int, frames: int) -> None:
    images = FRAMES[bits][:frames]
    data = b"".join(image.tobytes() for image in images)
    if syntax == ExplicitVRBigEndian:  # OW: bytes in words, so 8-bit pixels are swapped too
        data = np.frombuffer(data, np.uint16).byteswap().tobytes()
    content = dicom_bytes(images[0], syntax=syntax, bits=bits, PixelData=data, NumberOfFrames=frames)
    assert np.array_equal(show_bytes(content).frame.patterns, images[0])


def test_whites_of_a_lossy_htj2k_frame_do_not_turn_black() -> None:
    """OpenJPH, three times as fast, wraps what the wavelet makes of 255 to 0; and so it is not our decoder."""
    image = np.full((64, 64), 255, np.uint8)
    image[20:40, 20:40] = np.random.default_rng(1).integers(180, 256, (20, 20))
    frame = bytes(imagecodecs.htj2k_encode(image, level=0.01, reversible=False))
    assert imagecodecs.htj2k_decode(frame).min() < 50
    found = show_bytes(dicom_bytes(image, syntax="1.2.840.10008.1.2.4.203", frame=frame)).frame.patterns
    assert np.abs(found.astype(int) - image).max() <= 4
