"""Each VOI function against the formula of PS3.3 C.11.2, written out here pixel by pixel."""

import math

import numpy as np
import pytest

from tests.dicom_builder import converted, dicom_bytes, item, ramp, view_of

IMAGE = ramp()
VALUES = [int(value) for value in IMAGE.ravel()]


def _linear(x: float, center: float, width: float) -> float:
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 255.0
    return ((x - (center - 0.5)) / (width - 1) + 0.5) * 255


def _linear_exact(x: float, center: float, width: float) -> float:
    if x <= center - width / 2:
        return 0.0
    if x > center + width / 2:
        return 255.0
    return ((x - center) / width + 0.5) * 255


def _sigmoid(x: float, center: float, width: float) -> float:
    exponent = -4 * (x - center) / width
    return 255 / (1 + math.exp(exponent)) if exponent < 100 else 0.0


@pytest.mark.parametrize(
    ("function", "formula"),
    [(None, _linear), ("LINEAR", _linear), ("LINEAR_EXACT", _linear_exact), ("SIGMOID", _sigmoid)],
)
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000, 300), (2000.5, 17), (600, 2)])
def test_a_window_maps_values_as_its_function_says(
    function: str | None, formula: object, center: float, width: float
) -> None:
    assert callable(formula)
    view = view_of(IMAGE, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    expected = [math.floor(formula(x, center, width) + 0.5) for x in VALUES]
    assert view.pixels.ravel().tolist() == expected
    assert view.notes == ()


def test_the_linear_functions_differ_by_half_a_value() -> None:
    pixels = np.array([[0, 1, 2, 3]] * 4, np.uint16).repeat(4, axis=1).repeat(4, axis=0)
    linear = view_of(pixels, WindowCenter=2, WindowWidth=4)
    exact = view_of(pixels, WindowCenter=2, WindowWidth=4, VOILUTFunction="LINEAR_EXACT")
    assert linear.pixels[0, ::4].tolist() == [0, 85, 170, 255]
    assert exact.pixels[0, ::4].tolist() == [0, 64, 128, 191]


def test_of_several_windows_the_first_counts_and_is_noted() -> None:
    several = view_of(IMAGE, WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(several.pixels, view_of(IMAGE, WindowCenter=1000, WindowWidth=500).pixels)
    assert several.notes == ("the first of 2 windows",)


def test_an_unknown_function_is_read_as_linear_and_noted() -> None:
    view = view_of(IMAGE, WindowCenter=1000, WindowWidth=500, VOILUTFunction="CUBIC")
    assert np.array_equal(view.pixels, view_of(IMAGE, WindowCenter=1000, WindowWidth=500).pixels)
    assert view.notes == ("unknown VOI LUT Function: read as LINEAR",)


@pytest.mark.parametrize("width", [1, 0, -5])
def test_a_window_without_width_is_ignored(width: int) -> None:
    view = view_of(IMAGE, WindowCenter=1000, WindowWidth=width)
    assert view.notes == ("Window Width of 1 or less: ignored", "no window: 0.5–99.5 percentile")
    assert np.array_equal(view.pixels, view_of(IMAGE).pixels)


def test_without_a_window_the_percentiles_are_black_and_white() -> None:
    pixels = np.full((100, 100), 500, np.uint16)
    pixels[0, :40], pixels[1, :40] = 0, 4000  # under half a percent each: outliers such as a marker
    pixels[50:] = 1000
    view = converted(dicom_bytes(pixels), height=100, width=100).view
    assert view.notes[0] == "no window: 0.5–99.5 percentile"
    assert not view.pixels[2:50].any()
    assert (view.pixels[50:] == 255).all()


def test_eight_bits_without_a_window_stay_as_they_are() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(view_of(pixels).pixels, pixels)
    assert view_of(pixels).notes == ()


def test_a_window_that_shows_nothing_is_replaced_and_noted() -> None:
    high = ramp(top=65000, bottom=32744)
    view = view_of(high, bits=16, WindowCenter=2725, WindowWidth=5310)
    assert view.notes == ("the declared window leaves the image blank: 0.5–99.5 percentile",)
    assert view.pixels.std() > 50


def test_an_image_of_one_grey_is_black_and_says_so() -> None:
    view = view_of(np.full((16, 16), 700, np.uint16))
    assert not view.pixels.any()
    assert view.notes[-1] == "the image is of one grey"


def _voi_lut(entries: list[int], *, first: int = 0, bits: int = 8, declared: int | None = None) -> object:
    descriptor = [declared or len(entries), first, bits]
    return item(LUTDescriptor=descriptor, LUTData=np.array(entries, "<u2").tobytes())


def test_a_voi_lut_beats_a_window() -> None:
    entries = [255 - (index // 16) for index in range(4096)]
    view = view_of(IMAGE, WindowCenter=1000, WindowWidth=500, VOILUTSequence=_voi_lut(entries))
    assert view.pixels.ravel().tolist() == [entries[x] for x in VALUES]


def test_values_beyond_a_voi_lut_take_its_ends() -> None:
    entries = list(range(0, 256, 1))
    view = view_of(IMAGE, VOILUTSequence=_voi_lut(entries, first=1000))
    assert view.pixels.ravel().tolist() == [min(max(x - 1000, 0), 255) for x in VALUES]


def test_a_voi_lut_whose_entries_need_more_bits_than_declared_is_not_clipped() -> None:
    entries = list(range(4096))
    view = view_of(IMAGE, VOILUTSequence=_voi_lut(entries, bits=8))
    assert view.pixels.ravel().tolist() == [math.floor(x / 4095 * 255 + 0.5) for x in VALUES]


def test_a_voi_lut_that_is_too_short_is_noted() -> None:
    view = view_of(IMAGE, VOILUTSequence=_voi_lut(list(range(256)), declared=4096))
    assert view.notes == ("VOI LUT: 256 of 4096 entries",)


def test_an_empty_voi_lut_sequence_is_as_if_absent() -> None:
    view = view_of(IMAGE, VOILUTSequence=[], WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(view.pixels, view_of(IMAGE, WindowCenter=1000, WindowWidth=500).pixels)


def test_a_voi_lut_may_begin_below_zero() -> None:
    signed = (ramp(top=4000).astype(np.int32) - 2000).astype(np.int16)
    entries = [index // 16 for index in range(4096)]
    lut = item(LUTDescriptor=[4096, -2048, 8], LUTData=np.array(entries, "<u2").tobytes())
    lut[0]["LUTDescriptor"].VR = "SS"
    view = view_of(signed, PixelRepresentation=1, VOILUTSequence=lut)
    assert view.pixels.ravel().tolist() == [entries[int(x) + 2048] for x in signed.ravel()]
