"""Traps that readers of DICOM have fallen into, as far as no test of one step meets them; each alone in an object.

The other traps: polarity, padding, sign and bits in `test_pixels`, windows and VOI LUTs in `test_windowing`,
framing and depths in `test_syntaxes`, colour and lying headers in `test_codecs`, characters and projections in
`test_header`, classes in `test_gate`.
"""

import io
import math
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.codestreams import rle
from tests.dicom_builder import converted, dicom_bytes, item, ramp, refused, view_of, written
from tests.gateless import show_bytes

IMAGE = ramp()
WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}
PLAIN = view_of(IMAGE, **WINDOW).pixels
UID = "1.2.840.10008.1.2"


def test_inversion_is_within_the_window_not_within_what_the_image_holds() -> None:
    low = ramp(top=1000)
    view = view_of(low, PhotometricInterpretation="MONOCHROME1", **WINDOW)
    assert (view.pixels[0, 0], view.pixels[-1, -1]) == (255, 255 - math.floor(1000 / 4095 * 255))


def test_the_window_comes_before_the_resize() -> None:
    stripes = np.tile(np.array([0, 4000], np.uint16), (64, 32))
    content = dicom_bytes(stripes, WindowCenter=1000, WindowWidth=10)
    assert np.abs(converted(content, height=16, width=16).view.pixels.astype(int) - 127).max() <= 12


def _table(data: bytes, descriptor: list[int] | None) -> Any:
    table = item(LUTDescriptor=descriptor, LUTData=data)
    table[0]["LUTData"].VR = "OW"
    table[0]["LUTDescriptor"].VR = "SS" if descriptor and descriptor[1] < 0 else "US"
    return table


def test_a_voi_lut_may_be_declared_far_deeper_than_it_is() -> None:
    table = _table((np.arange(4096) // 16).astype("<u2").tobytes(), [4096, 0, 16])
    assert view_of(IMAGE, VOILUTSequence=table).pixels.ravel().tolist() == [int(x) // 16 for x in IMAGE.ravel()]


def test_a_voi_lut_may_hold_a_byte_per_entry() -> None:
    table = _table((np.arange(4096) // 16).astype(np.uint8).tobytes(), [4096, 0, 8])
    assert view_of(IMAGE, VOILUTSequence=table).pixels.ravel().tolist() == [int(x) // 16 for x in IMAGE.ravel()]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_where_a_voi_lut_begins_is_signed_as_the_pixels_are(syntax: str) -> None:
    signed = (IMAGE.astype(np.int32) - 2048).astype(np.int16)
    table = _table((np.arange(4096) // 16).astype("<u2").tobytes(), [4096, -2048, 8])
    content = dicom_bytes(signed, PixelRepresentation=1, VOILUTSequence=table, syntax=syntax)
    mistaken = content.replace(b"\x28\0\x02\x30SS", b"\x28\0\x02\x30US")
    assert (mistaken != content) == (syntax == ExplicitVRLittleEndian)
    assert converted(mistaken).view.pixels.ravel().tolist() == [int(x) // 16 for x in IMAGE.ravel()]


@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_look_up_table_without_descriptor_is_as_if_absent(sequence: str) -> None:
    view = view_of(IMAGE, **{sequence: _table(bytes(8192), None)}, **WINDOW)
    assert np.array_equal(view.pixels, PLAIN)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_padding_of_the_wrong_vr_has_the_sign_of_the_pixels(syntax: str) -> None:
    signed = (IMAGE.astype(np.int32) - 1000).astype(np.int16)
    signed[:4] = -2000
    content = dicom_bytes(
        signed, syntax=syntax, PixelRepresentation=1, PixelPaddingValue=-2000, WindowCenter=-1900, WindowWidth=300
    )
    mistaken = content.replace(b"\x28\0\x20\x01SS", b"\x28\0\x20\x01US")
    assert (mistaken != content) == (syntax == ExplicitVRLittleEndian)
    assert not converted(mistaken).view.pixels[:4].any()


def test_an_overlay_is_never_burned_in() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(IMAGE, **WINDOW)))
    for tag, vr, value in (
        (0x60000010, "US", 16),  # Overlay Rows, Columns
        (0x60000011, "US", 16),
        (0x60000040, "CS", "G"),
        (0x60000050, "SS", [1, 1]),
        (0x60000100, "US", 1),
        (0x60000102, "US", 0),
        (0x60003000, "OW", b"\xff" * 32),
    ):
        dataset.add_new(tag, vr, value)
    assert np.array_equal(converted(written(dataset)).view.pixels, PLAIN)


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageLaterality": "R", "Laterality": "R"},
        {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": 180},
        {"PatientOrientation": ["R", "F"]},
    ],
)
def test_no_tag_flips_or_turns_the_image(elements: dict[str, Any]) -> None:
    assert np.array_equal(view_of(IMAGE, **WINDOW, **elements).pixels, PLAIN)


@pytest.mark.parametrize("signed_stream", [False, True])
def test_the_sign_is_the_headers_whatever_the_jpeg_2000_stream_says(*, signed_stream: bool) -> None:
    signed = (IMAGE.astype(np.int32) - 2048).astype(np.int16)
    stream = signed if signed_stream else (signed.view(np.uint16) & 0x0FFF).astype(np.uint16)
    frame = imagecodecs.jpeg2k_encode(stream, codecformat="j2k", reversible=True, bitspersample=12)
    window: dict[str, Any] = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    content = dicom_bytes(signed, syntax=f"{UID}.4.90", frame=frame, **window)
    assert np.array_equal(converted(content).view.pixels, view_of(signed, **window).pixels)


def _colour() -> NDArray[np.uint8]:
    grey = ramp(16, 16, top=200).astype(np.uint8)
    return np.stack([grey, grey // 2, 255 - grey], axis=-1)


COLOUR = _colour()
LUMA = COLOUR @ np.array([0.299, 0.587, 0.114])


FRAMES = {
    "5": rle(COLOUR),
    "4.50": imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace="RGB"),
    "4.90": imagecodecs.jpeg2k_encode(COLOUR, codecformat="j2k", reversible=True, mct=False),
}


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", FRAMES)
def test_a_compressed_frame_is_planar_or_not_by_its_codec_alone(syntax: str, planar: int) -> None:
    rgb: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    content = dicom_bytes(
        COLOUR, syntax=f"{UID}.{syntax}", frame=FRAMES[syntax], PlanarConfiguration=planar, **rgb
    )
    assert np.abs(converted(content).view.pixels - LUMA).max() <= 3


def test_the_colour_transform_of_jpeg_2000_is_undone_by_its_decoder() -> None:
    frame = imagecodecs.jpeg2k_encode(COLOUR, codecformat="j2k", reversible=True, mct=True)
    rct: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_RCT"}
    view = converted(dicom_bytes(COLOUR, syntax=f"{UID}.4.90", frame=frame, **rct)).view
    assert np.abs(view.pixels - LUMA).max() <= 1


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.77.1.6",  # whole slide microscopy
        "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
        "1.2.840.10008.5.1.4.1.1.481.2",  # dose
    ],
)
def test_what_its_class_refuses_is_never_decoded(sop_class: str) -> None:
    result = refused(dicom_bytes(SOPClassUID=sop_class, syntax=f"{UID}.4.90", frame=b"no codestream"))
    assert not result.failed


@pytest.mark.parametrize(
    ("honest", "garbage"),
    [
        (b"\x28\0\x50\x10DS\x04\x002048", b"\x28\0\x50\x10DS\x04\x00wide"),
        (b"\x28\0\x50\x10DS\x04\x002048", b"\x28\0\x50\x10DS\x04\x00 nan"),
        (b"\x28\0\x50\x10DS", b"\x28\0\x50\x10IS"),
        (b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x02\x00x "),
    ],
)
def test_garbage_in_one_number_costs_that_number_alone(honest: bytes, garbage: bytes) -> None:
    content = dicom_bytes(IMAGE, NumberOfFrames=1, WindowCenter="2048", WindowWidth="4096")
    assert honest in content
    assert converted(content.replace(honest, garbage)).view.pixels.std() > 50


def test_of_a_number_that_should_stand_alone_the_first_counts() -> None:
    several = dicom_bytes(IMAGE, Rows=[16, 0], **WINDOW)
    assert np.array_equal(converted(several).view.pixels, PLAIN)


@pytest.mark.parametrize("frame", [b"GIF89a and so on", b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_what_is_called_a_jpeg_and_is_none_fails_by_name(frame: bytes) -> None:
    result = refused(dicom_bytes(IMAGE, syntax=f"{UID}.4.50", frame=frame))
    assert (result.failed, result.reason) == (
        True,
        "the compressed frame begins with no JPEG, JPEG-LS or JPEG 2000 marker",
    )


def test_a_codestream_of_fewer_bits_than_stated_is_believed() -> None:
    frame = imagecodecs.jpeg2k_encode(IMAGE, codecformat="j2k", reversible=True, bitspersample=12)
    layout = show_bytes(dicom_bytes(IMAGE, syntax=f"{UID}.4.90", frame=frame, bits=16, HighBit=15)).frame.layout
    assert (layout.bits_stored, layout.high_bit) == (12, 11)
