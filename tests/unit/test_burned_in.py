"""Text near an image's borders is painted over; anatomy, lead markers and what stands in the middle are left."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.burned_in import find_text, mask_text
from pipeline.conversion import convert
from pipeline.handling import Handling
from pipeline.study import Converted, Pixels, Preprocessing
from tests.dicom_builder import dicom_bytes

SIDE = 400
NAME = "DOE^JANE 1950-03-01"


def body(level: int = 90) -> Pixels:
    """Something smooth, with grain: no text."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grain = np.random.default_rng(3).normal(0, 4, (SIDE, SIDE))
    wave = level + 40 * np.sin(x / 40) * np.cos(y / 55) + grain
    image: Pixels = np.clip(wave, 0, 255).astype(np.uint8)
    return image


def written(image: Pixels, text: str, at: tuple[int, int], *, grey: int = 255, scale: float = 0.6) -> Pixels:
    drawn = image.copy()
    cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, grey, 1, cv2.LINE_AA)
    return drawn


def hidden(image: Pixels, drawn: Pixels) -> float:
    """Share of the text's pixels that are no longer there."""
    text = np.abs(drawn.astype(int) - image) > 40
    masked, _ = mask_text(drawn)
    return float((masked != drawn)[text].mean())


@pytest.mark.parametrize("grey", [255, 0])
@pytest.mark.parametrize("at", [(10, 24), (180, 30), (8, 385), (150, 390)])
def test_a_name_at_a_border_is_hidden(at: tuple[int, int], grey: int) -> None:
    image = body()
    drawn = written(image, NAME, at, grey=grey)
    assert hidden(image, drawn) > 0.97


@pytest.mark.parametrize("scale", [0.4, 0.8, 1.0])
def test_small_and_large_print_is_hidden(scale: float) -> None:
    image = body()
    drawn = written(image, "ID 12345678", (20, 40), scale=scale)
    assert hidden(image, drawn) > 0.95


def test_a_name_that_runs_up_the_side_is_hidden() -> None:
    image = body()
    drawn = np.ascontiguousarray(np.rot90(written(np.ascontiguousarray(np.rot90(image, -1)), NAME, (60, 20))))
    assert hidden(image, drawn) > 0.97


def test_a_large_image_is_searched_at_a_smaller_size() -> None:
    image = np.ascontiguousarray(np.kron(body(), np.ones((5, 5), np.uint8)))
    drawn = written(image, NAME, (60, 120), scale=2.0)
    cv2.putText(drawn, NAME, (60, 120), cv2.FONT_HERSHEY_SIMPLEX, 2.0, 255, 4, cv2.LINE_AA)
    assert hidden(image, drawn) > 0.97


def test_an_image_without_text_is_not_even_copied() -> None:
    image = body()
    masked, count = mask_text(image)
    assert masked is image
    assert count == 0


@pytest.mark.parametrize("marker", ["L", "R", "LT"])
def test_a_lead_marker_stays(marker: str) -> None:
    drawn = written(body(), marker, (350, 40), scale=1.0)
    assert mask_text(drawn)[1] == 0


def test_text_in_the_middle_is_no_matter_of_the_borders() -> None:
    drawn = written(body(), "ABC", (190, 200))
    assert mask_text(drawn)[1] == 0


def test_the_rest_of_the_image_stays_as_it_was() -> None:
    image = body()
    drawn = written(image, NAME, (10, 24))
    masked, count = mask_text(drawn)
    assert count == 1
    assert np.array_equal(masked[45:], image[45:])
    assert np.ptp(masked[14:22, 30:150]) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (19, 19), (20, 20), (1500, 21)])
def test_images_of_any_shape_are_taken(shape: tuple[int, int]) -> None:
    noise: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert find_text(noise).shape[1] == 4


def _convert(*, masks_text: bool = True) -> Converted:
    import io

    content = dicom_bytes(written(body(), NAME, (10, 24)))
    wanted = Preprocessing(height=SIDE, width=SIDE, fit="squash")
    result = convert(
        io.BytesIO(content), size=len(content), preprocessing=wanted, handling=Handling(masks_text=masks_text)
    )
    assert isinstance(result, Converted)
    return result


def test_a_view_is_masked_and_says_so() -> None:
    masked, plain = _convert().view, _convert(masks_text=False).view
    assert "text near the border masked: 1 region" in masked.notes
    assert not any("text" in note for note in plain.notes)
    assert np.array_equal(plain.pixels, written(body(), NAME, (10, 24)))
    assert not np.array_equal(masked.pixels, plain.pixels)
