"""Every transfer syntax gives the same image; a frame that is not what its header says is refused beforehand."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian

from pipeline.study import Converted
from tests.codestreams import deflated, rle
from tests.dicom_builder import convert_bytes, converted, dicom_bytes, ramp, refused, view_of

UID = "1.2.840.10008.1.2"
WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}


def smooth(side: int = 64, *, top: int = 4095) -> NDArray[np.uint16]:
    """Something a lossy codec keeps: a diagonal ramp, as [side, side]."""
    y, x = np.mgrid[:side, :side]
    image: NDArray[np.uint16] = ((x + y) / (2 * side - 2) * top).astype(np.uint16)
    return image


IMAGE = smooth()
NATIVE = converted(dicom_bytes(IMAGE, **WINDOW), height=64, width=64).view.pixels


LOSSLESS: dict[str, Callable[[NDArray[Any]], bytes | bytearray]] = {
    f"{UID}.4.57": lambda image: imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=12),
    f"{UID}.4.70": lambda image: imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=16),
    f"{UID}.4.80": imagecodecs.jpegls_encode,
    f"{UID}.4.90": lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True),
    f"{UID}.4.201": lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    f"{UID}.4.203": lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    f"{UID}.5": rle,
    f"{UID}.8.1": deflated,
}
LOSSY: dict[str, Callable[[NDArray[Any]], bytes | bytearray]] = {
    f"{UID}.4.51": lambda image: imagecodecs.jpeg8_encode(image, level=95, bitspersample=12),
    f"{UID}.4.81": lambda image: imagecodecs.jpegls_encode(image, level=4),
    f"{UID}.4.91": lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", level=90),
}


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_syntax_gives_the_native_view(syntax: str) -> None:
    content = dicom_bytes(IMAGE, syntax=syntax, frame=LOSSLESS[syntax](IMAGE), **WINDOW)
    assert np.array_equal(converted(content, height=64, width=64).view.pixels, NATIVE)


@pytest.mark.parametrize("syntax", LOSSY)
def test_every_lossy_syntax_gives_nearly_the_native_view(syntax: str) -> None:
    content = dicom_bytes(IMAGE, syntax=syntax, frame=LOSSY[syntax](IMAGE), **WINDOW)
    view = converted(content, height=64, width=64).view.pixels
    assert np.abs(view.astype(int) - NATIVE).max() <= 4


def test_baseline_jpeg_gives_nearly_the_native_view() -> None:
    image = smooth(top=255).astype(np.uint8)
    frame = imagecodecs.jpeg8_encode(image, level=95)
    view = converted(dicom_bytes(image, syntax=f"{UID}.4.50", frame=frame), height=64, width=64).view.pixels
    assert np.abs(view.astype(int) - image).max() <= 4


@pytest.mark.parametrize("label", [f"{UID}.4.50", f"{UID}.4.90", f"{UID}.4.80"])
def test_the_codestream_is_believed_over_the_transfer_syntax(label: str) -> None:
    frame = imagecodecs.jpegls_encode(IMAGE)
    content = dicom_bytes(IMAGE, syntax=label, frame=frame, **WINDOW)
    assert np.array_equal(converted(content, height=64, width=64).view.pixels, NATIVE)


def test_a_stream_without_sign_is_read_with_the_headers_sign() -> None:
    signed = (IMAGE.astype(np.int32) - 2048).astype(np.int16)
    window: dict[str, Any] = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    plain = converted(dicom_bytes(signed, **window), height=64, width=64).view.pixels
    masked = (signed.view(np.uint16) & 0x0FFF).astype(np.uint16)
    for syntax in (f"{UID}.4.80", f"{UID}.4.70", f"{UID}.4.90"):
        content = dicom_bytes(signed, syntax=syntax, frame=LOSSLESS[syntax](masked), **window)
        assert np.array_equal(converted(content, height=64, width=64).view.pixels, plain), syntax


def test_a_sign_stands_no_higher_than_the_streams_precision() -> None:
    signed = (IMAGE.astype(np.int32) - 2048).astype(np.int16)
    masked = (signed.view(np.uint16) & 0x0FFF).astype(np.uint16)
    window: dict[str, Any] = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    frame = imagecodecs.jpeg2k_encode(masked, codecformat="j2k", reversible=True, bitspersample=12)
    content = dicom_bytes(signed, syntax=f"{UID}.4.90", frame=frame, bits=16, **window)
    plain = converted(dicom_bytes(signed, **window), height=64, width=64).view.pixels
    assert np.array_equal(converted(content, height=64, width=64).view.pixels, plain)


def test_big_endian_words_and_bytes_in_words() -> None:
    image = ramp()
    words = dicom_bytes(image, syntax=ExplicitVRBigEndian, PixelData=image.astype(">u2").tobytes(), **WINDOW)
    assert np.array_equal(converted(words).view.pixels, view_of(image, **WINDOW).pixels)
    small = np.arange(256, dtype=np.uint8).reshape(16, 16)
    swapped = small.view(np.uint16).byteswap().tobytes()
    content = dicom_bytes(small, syntax=ExplicitVRBigEndian, PixelData=swapped)
    assert np.array_equal(converted(content).view.pixels, small)


def test_only_the_first_of_many_frames_is_read() -> None:
    content = dicom_bytes(ramp(), NumberOfFrames=3, PixelData=ramp().tobytes() + b"\xff" * 1024, **WINDOW)
    view = converted(content).view
    assert view.notes == ("the first of 3 frames",)
    assert np.array_equal(view.pixels, view_of(ramp(), **WINDOW).pixels)


@pytest.mark.parametrize("has_bot", [False, True])
@pytest.mark.parametrize("fragments", [1, 3])
def test_the_first_frame_may_lie_in_several_fragments(*, has_bot: bool, fragments: int) -> None:
    frames = [bytes(imagecodecs.jpegls_encode(image)) for image in (IMAGE, 4095 - IMAGE)]
    data = encapsulate(frames, fragments_per_frame=fragments, has_bot=has_bot)
    content = dicom_bytes(IMAGE, syntax=f"{UID}.4.80", frame=frames[0], NumberOfFrames=2, PixelData=data, **WINDOW)
    assert np.array_equal(converted(content, height=64, width=64).view.pixels, NATIVE)


def _colour() -> NDArray[np.uint8]:
    grey = smooth(top=200).astype(np.uint8)
    return np.stack([grey, grey // 2, 255 - grey], axis=-1)


def _luma(colour: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(colour @ np.array([0.299, 0.587, 0.114]), np.float64)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_becomes_luma_with_a_note(planar: int) -> None:
    colour = _colour()
    stored = np.moveaxis(colour, -1, 0) if planar else colour
    content = dicom_bytes(
        colour,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=planar,
        PixelData=np.ascontiguousarray(stored).tobytes(),
    )
    view = converted(content, height=64, width=64).view
    assert view.notes[0] == "colour (RGB) reduced to its luma"
    assert np.abs(view.pixels - _luma(colour)).max() <= 1


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "RGB"])
def test_colour_jpeg_becomes_luma(photometric: str) -> None:
    colour = _colour()
    space = "RGB" if photometric == "RGB" else "YCBCR"
    frame = imagecodecs.jpeg8_encode(colour, level=95, colorspace="RGB", outcolorspace=space)
    content = dicom_bytes(
        colour, syntax=f"{UID}.4.50", frame=frame, SamplesPerPixel=3, PhotometricInterpretation=photometric
    )
    view = converted(content, height=64, width=64).view
    assert np.abs(view.pixels - _luma(colour)).max() <= 6


def test_uncompressed_422_has_two_bytes_a_pixel() -> None:
    luma = np.arange(256, dtype=np.uint8).reshape(16, 16)
    packed = np.full((16, 8, 4), 128, np.uint8)
    packed[:, :, :2] = luma.reshape(16, 8, 2)
    content = dicom_bytes(
        luma, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PixelData=packed.tobytes()
    )
    assert np.array_equal(converted(content).view.pixels, luma)


@pytest.mark.parametrize("syntax", [key for key in LOSSLESS if not key.endswith(("8.1", ".5"))])
def test_a_frame_without_its_end_fails_before_it_is_decoded(syntax: str) -> None:
    frame = LOSSLESS[syntax](IMAGE)
    result = refused(dicom_bytes(IMAGE, syntax=syntax, frame=frame[: len(frame) * 6 // 10]))
    assert result.failed
    assert result.reason.endswith("codestream truncated: no end marker in the last 16 bytes")


@pytest.mark.parametrize("syntax", LOSSY)
def test_a_lossy_frame_cut_short_is_no_image(syntax: str) -> None:
    frame = LOSSY[syntax](IMAGE)
    result = refused(dicom_bytes(IMAGE, syntax=syntax, frame=frame[: len(frame) * 6 // 10]))
    assert result.failed
    assert "no end marker" in result.reason


def test_a_baseline_frame_cut_short_is_no_image() -> None:
    frame = imagecodecs.jpeg8_encode(smooth(top=255).astype(np.uint8), level=95)
    result = refused(dicom_bytes(IMAGE, syntax=f"{UID}.4.50", frame=frame[: len(frame) * 6 // 10]))
    assert result.failed
    assert "JPEG" in result.reason


@pytest.mark.parametrize("syntax", LOSSLESS | LOSSY)
def test_64_bytes_corrupted_in_the_middle_give_an_image_or_a_reason(syntax: str) -> None:
    frame = bytearray((LOSSLESS | LOSSY)[syntax](IMAGE))
    middle = len(frame) // 2
    room = min(64, len(frame) - middle - 2)  # the end marker stays: what cannot be seen from outside is tried
    frame[middle : middle + room] = np.random.default_rng(5).bytes(room)
    result = convert_bytes(dicom_bytes(IMAGE, syntax=syntax, frame=bytes(frame), **WINDOW), height=64, width=64)
    if isinstance(result, Converted):
        assert result.view.pixels.shape == (64, 64)
    else:
        assert result.failed
        assert "cannot be decoded (" not in result.reason


@pytest.mark.parametrize("syntax", [f"{UID}.5", f"{UID}.8.1"])
def test_a_short_frame_without_markers_fails(syntax: str) -> None:
    frame = LOSSLESS[syntax](IMAGE)
    result = refused(dicom_bytes(IMAGE, syntax=syntax, frame=frame[: len(frame) * 6 // 10]))
    assert result.failed


def test_padding_behind_the_end_marker_is_normal() -> None:
    frame = imagecodecs.jpegls_encode(IMAGE) + b"\0" * 7
    assert converted(dicom_bytes(IMAGE, syntax=f"{UID}.4.80", frame=frame))


def test_junk_before_the_first_marker_is_passed_over() -> None:
    frame = b"junk\0\0" + imagecodecs.jpegls_encode(IMAGE)
    assert converted(dicom_bytes(IMAGE, syntax=f"{UID}.4.80", frame=frame))


@pytest.mark.parametrize("syntax", [key for key in LOSSLESS if not key.endswith(("8.1", ".5"))])
def test_a_frame_of_another_size_than_the_header_fails(syntax: str) -> None:
    result = refused(dicom_bytes(smooth(32), syntax=syntax, frame=LOSSLESS[syntax](IMAGE)))
    assert result.failed
    assert "frame is 64 × 64 × 1, the header says 32 × 32 × 1" in result.reason


def test_a_frame_deeper_than_its_allocation_fails() -> None:
    image = smooth(top=255).astype(np.uint8)
    result = refused(dicom_bytes(image, syntax=f"{UID}.4.80", frame=imagecodecs.jpegls_encode(IMAGE)))
    assert result.reason == "the JPEG-LS frame has 16 bits, the header allocates 8"


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_damaged_frame_never_raises(syntax: str) -> None:
    frame = bytearray(LOSSLESS[syntax](IMAGE))
    random = np.random.default_rng(7)
    for _ in range(20):
        for at in random.integers(0, len(frame), 12):
            frame[at] = int(random.integers(256))
        content = dicom_bytes(IMAGE, syntax=syntax, frame=bytes(frame), **WINDOW)
        convert_bytes(content)


def test_mismatched_encapsulation_fails() -> None:
    assert refused(dicom_bytes(IMAGE, frame=b"\xff\xd8")).failed
    native = dicom_bytes(IMAGE).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1)
    assert refused(native).reason.startswith("the pixel data is not encapsulated")


@pytest.mark.parametrize("syntax", [f"{UID}.4.100", f"{UID}.4.110"])
def test_a_syntax_without_decoder_fails_by_name(syntax: str) -> None:
    result = refused(dicom_bytes(IMAGE, syntax=syntax, frame=b"anything"))
    assert result.reason == f"transfer syntax {syntax} cannot be decoded"
