"""The converting half's resize gives what Pillow gives, to the bit; with its C extension and without."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline import shrinking
from pipeline.resizing import Resample, resample

BILINEAR, BOX = Image.Resampling.BILINEAR, Image.Resampling.BOX
SHAPES = [(300, 204), (251, 203), (97, 310), (64, 64), (30, 41), (5, 1), (1, 7), (3, 3)]


needs_extension = pytest.mark.skipif(
    shrinking.extension is None and not (os.environ.get("CI") and shutil.which("cc")),
    reason="the C extension was not built: install a C compiler and Python's headers, then the package again",
)


@pytest.fixture(params=[pytest.param("extension", marks=needs_extension), "pillow"])
def shrink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Resample:
    if request.param == "pillow":
        monkeypatch.setattr(shrinking, "extension", None)
    else:
        assert shrinking.extension is not None
    return shrinking.shrink


@pytest.mark.parametrize("kernel", [BILINEAR, BOX])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(64, 64), (51, 22), (23, 90), (1, 1)])
def test_turning_changes_no_bit(
    shrink: Resample, shape: tuple[int, int], size: tuple[int, int], kernel: Image.Resampling
) -> None:
    pixels = np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)
    small = shrink(pixels, *size, kernel)
    assert small.shape == size[::-1]
    assert small.flags.c_contiguous
    assert np.array_equal(small, resample(pixels, *size, kernel))


@needs_extension
@pytest.mark.parametrize(
    ("first", "count", "room"),
    [
        ([0, 3], [2, 2], 8),  # beyond the last row
        ([-1, 2], [2, 2], 8),
        ([0, 2], [2, 3], 8),  # more rows than weights
        ([0, 2], [2, -1], 8),
        ([0, 2], [2], 8),
        ([0, 2], [2, 2], 7),
    ],
)
def test_the_extension_touches_nothing_outside_its_buffers(first: list[int], count: list[int], room: int) -> None:
    assert shrinking.extension is not None
    tables = [np.array(table, np.int32) for table in (first, count, [[1, 1], [1, 1]])]
    with pytest.raises(ValueError, match="do not fit"):
        shrinking.extension.resample(np.zeros((4, 4), np.uint8), 4, *tables, np.zeros(room, np.uint8))
