"""Polarity, padding, modality tables, sign, bits, aspect and resize; each rule with an image that shows it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.resizing import resize
from pipeline.study import Preprocessing
from tests.dicom_builder import converted, dicom_bytes, item, ramp, view_of

IMAGE = ramp()
WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}


def test_monochrome1_is_the_negative_of_monochrome2() -> None:
    light = view_of(IMAGE, **WINDOW)
    dark = view_of(IMAGE, PhotometricInterpretation="MONOCHROME1", **WINDOW)
    assert light.pixels[0, 0] == 0
    assert dark.pixels[0, 0] == 255
    assert np.abs(light.pixels.astype(int) + dark.pixels - 255).max() <= 1


def test_inversion_comes_after_the_window() -> None:
    view = view_of(IMAGE, PhotometricInterpretation="MONOCHROME1", WindowCenter=500, WindowWidth=200)
    assert view.pixels[-1, -1] == 0
    assert view.pixels[0, 0] == 255


@pytest.mark.parametrize(
    ("photometric", "shape", "conflict"),
    [
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_presentation_lut_shape_is_never_applied_and_a_conflict_is_noted(
    photometric: str, shape: str, conflict: bool
) -> None:
    plain = view_of(IMAGE, PhotometricInterpretation=photometric, **WINDOW)
    shaped = view_of(IMAGE, PhotometricInterpretation=photometric, PresentationLUTShape=shape, **WINDOW)
    assert np.array_equal(plain.pixels, shaped.pixels)
    assert any("contradicts" in note for note in shaped.notes) is conflict


@pytest.mark.parametrize("bits", range(8, 17))
def test_every_depth_shows_its_full_range(bits: int) -> None:
    top = (1 << bits) - 1
    view = view_of(ramp(top=top), bits=bits, WindowCenter=(top + 1) / 2, WindowWidth=top + 1)
    expected = [math.floor(int(x) / top * 255 + 0.5) for x in ramp(top=top).ravel()]
    assert np.abs(view.pixels.ravel().astype(int) - expected).max() <= 1
    assert (view.pixels[0, 0], view.pixels[-1, -1]) == (0, 255)


def test_the_sign_is_extended_from_bits_stored() -> None:
    values = np.linspace(-2048, 2047, 256).astype(np.int16).reshape(16, 16)
    masked = (values.view(np.uint16) & 0x0FFF).astype(np.uint16)  # the upper four bits left zero
    window = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    full, cut = view_of(values, **window), view_of(masked, **window)
    assert np.array_equal(full.pixels, cut.pixels)
    assert (np.diff(full.pixels.ravel().astype(int)) >= 0).all()


def test_a_high_bit_above_bits_stored_shifts_the_value_down() -> None:
    shifted = view_of(IMAGE << 4, bits=12, HighBit=15, **WINDOW)
    assert np.array_equal(shifted.pixels, view_of(IMAGE, **WINDOW).pixels)


def test_a_few_bits_above_bits_stored_are_an_overlay_and_masked() -> None:
    marked = IMAGE.copy()
    marked[8, 8] |= 0x8000
    assert np.array_equal(view_of(marked, **WINDOW).pixels, view_of(IMAGE, **WINDOW).pixels)


def test_many_bits_above_bits_stored_show_that_it_lies() -> None:
    view = view_of(ramp(top=4095), bits=10, **WINDOW)
    assert view.notes == ("pixels use 12 bits, Bits Stored says 10",)
    assert np.array_equal(view.pixels, view_of(IMAGE, **WINDOW).pixels)


def test_a_negative_slope_swaps_light_and_dark() -> None:
    plain = view_of(IMAGE)
    negative = view_of(IMAGE, RescaleSlope=-10, RescaleIntercept=3000)
    assert plain.pixels[0, 0] == 0
    assert negative.pixels[0, 0] == 255
    assert np.abs(plain.pixels.astype(int) + negative.pixels - 255).max() <= 1


def test_rescale_comes_before_the_window() -> None:
    view = view_of(IMAGE, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=3996, WindowWidth=8192)
    plain = view_of(IMAGE, **WINDOW)
    assert np.abs(view.pixels.astype(int) - plain.pixels).max() <= 1


def test_a_slope_of_zero_is_ignored_and_noted() -> None:
    view = view_of(IMAGE, RescaleSlope=0, RescaleIntercept=5, **WINDOW)
    assert np.array_equal(view.pixels, view_of(IMAGE, **WINDOW).pixels)
    assert view.notes == ("Rescale Slope or Intercept unusable: ignored",)


def test_a_modality_lut_replaces_rescale() -> None:
    entries = np.arange(4096)[::-1].astype("<u2")
    lut = item(LUTDescriptor=[4096, 0, 12], LUTData=entries.tobytes())
    view = view_of(IMAGE, ModalityLUTSequence=lut, RescaleSlope=3, RescaleIntercept=7, **WINDOW)
    assert np.array_equal(view.pixels, view_of(4095 - IMAGE, **WINDOW).pixels)


def test_an_empty_modality_lut_sequence_is_as_if_absent() -> None:
    view = view_of(IMAGE, ModalityLUTSequence=[], **WINDOW)
    assert np.array_equal(view.pixels, view_of(IMAGE, **WINDOW).pixels)


def test_padding_is_black_even_where_light_and_dark_are_swapped() -> None:
    padded = IMAGE.copy()
    padded[:4] = 0  # would be white in MONOCHROME1
    view = view_of(padded, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, **WINDOW)
    assert not view.pixels[:4].any()
    assert view.pixels[4, 0] > 100


def test_a_padding_range_covers_all_between_its_limits() -> None:
    view = view_of(IMAGE, PixelPaddingValue=4000, PixelPaddingRangeLimit=3000, **WINDOW)
    inside = (IMAGE >= 3000) & (IMAGE <= 4000)
    assert not view.pixels[inside].any()
    assert view.pixels[IMAGE > 4000].all()


def test_padding_is_compared_with_stored_values_and_their_sign() -> None:
    signed = (ramp(top=3000).astype(np.int32) - 1000).astype(np.int16)
    signed[0] = -2000
    view = view_of(signed, PixelRepresentation=1, PixelPaddingValue=-2000, RescaleSlope=-1, RescaleIntercept=0)
    assert not view.pixels[0].any()
    assert view.pixels[1, 0] > 200


def test_padding_does_not_count_for_the_percentiles() -> None:
    padded = ramp(top=1100, bottom=1000)
    padded[:8] = 4095
    view = view_of(padded, PixelPaddingValue=4095)
    assert not view.pixels[:8].any()
    assert view.pixels[8:].min() < 10
    assert view.pixels[8:].max() == 255


def test_padding_that_covers_everything_is_ignored_and_noted() -> None:
    view = view_of(np.full((16, 16), 900, np.uint16), PixelPaddingValue=900, **WINDOW)
    assert "pixel padding would cover the whole image: ignored" in view.notes


def test_only_a_letterbox_shows_the_pixel_aspect() -> None:
    square, high = dicom_bytes(IMAGE, **WINDOW), dicom_bytes(IMAGE, PixelAspectRatio=[2, 1], **WINDOW)
    stretched = converted(high, height=32, width=32, fit="letterbox").view
    assert stretched.notes == ("pixels are 2.00 times as high as wide",)
    filled = np.flatnonzero(stretched.pixels.any(axis=0))
    assert (filled[0], filled[-1]) == (8, 23)
    squashed = converted(high, height=32, width=32, fit="squash").view
    assert np.array_equal(squashed.pixels, converted(square, height=32, width=32).view.pixels)


@pytest.mark.parametrize(
    ("elements", "ratio"),
    [
        ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [2, 1]}, 1.0),
        ({"ImagerPixelSpacing": [0.3, 0.2]}, 1.5),
        ({"PixelSpacing": [0.0, 0.0], "PixelAspectRatio": [4, 3]}, 1.33),
        ({"PixelAspectRatio": [1, 100]}, 1.0),
    ],
)
def test_a_spacing_beats_the_aspect_ratio(elements: dict[str, Any], ratio: float) -> None:
    view = converted(dicom_bytes(IMAGE, **WINDOW, **elements), height=60, width=60, fit="letterbox").view
    columns = np.flatnonzero(view.pixels.any(axis=0))
    assert columns[-1] - columns[0] + 1 == pytest.approx(60 / ratio, abs=1)


def test_a_letterbox_keeps_the_shape_and_pads_with_black() -> None:
    wide = np.full((8, 16), 200, np.uint8)
    view = resize(wide, Preprocessing(height=32, width=32, fit="letterbox"))
    assert view.shape == (32, 32)
    assert (view[8:24] == 200).all()
    assert not view[:8].any()
    assert not view[24:].any()


def test_the_resize_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    view = resize(stripes, Preprocessing(height=16, width=16, fit="squash"))
    assert np.abs(view.astype(int) - 127).max() <= 12


def test_a_box_is_the_mean_of_what_a_pixel_covers() -> None:
    small = np.random.default_rng(5).integers(0, 256, (16, 16), np.uint8)
    large = np.kron(small, np.ones((4, 4), np.uint8))
    wanted = Preprocessing(height=16, width=16, fit="squash", resampling="box")
    assert np.array_equal(resize(large, wanted), small)
    assert not np.array_equal(resize(large, replace(wanted, resampling="bilinear")), small)


def test_a_box_never_enlarges_into_blocks() -> None:
    wanted = Preprocessing(height=64, width=64, fit="squash", resampling="box")
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    assert np.array_equal(resize(ramp, wanted), resize(ramp, replace(wanted, resampling="bilinear")))


@pytest.mark.parametrize("change", [{"fit": "crop"}, {"resampling": "nearest"}])
def test_an_unknown_way_to_resize_is_our_own_fault(change: dict[str, str]) -> None:
    wanted = replace(Preprocessing(height=2, width=2, fit="squash"), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="|".join(change.values())):
        resize(np.zeros((4, 4), np.uint8), wanted)
