"""The view is what training sees: Pillow's filter is torchvision's antialiased one, within a level."""

import numpy as np
import pytest

from pipeline.resizing import resize
from pipeline.study import Preprocessing


@pytest.mark.parametrize(("rows", "columns", "side"), [(2500, 2048, 224), (1955, 1841, 256), (300, 700, 512)])
def test_the_resize_is_torchvisions(rows: int, columns: int, side: int) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = np.random.default_rng(3).integers(0, 256, (rows, columns), np.uint8)
    ours = resize(image, Preprocessing(height=side, width=side, fit="squash"))
    theirs = functional.resize(torch.from_numpy(image)[None], [side, side], antialias=True)[0].numpy()
    assert np.abs(ours.astype(int) - theirs).max() <= 1
