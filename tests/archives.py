"""Writes archives for the acceptance tests: many small studies quickly, and the bad objects of real archives."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.dx import DxTags, write_dx

SIZE = 256  # pixels; small, so that a test spends its time on the ledger and the model


def shadow(seed: int) -> NDArray[np.uint8]:
    """Two dark lungs, one white heart, some noise: [SIZE, SIZE]. Different for each seed."""
    random = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), 170, np.float32)
    width = int(random.integers(40, 60))
    for centre in (SIZE // 3, 2 * SIZE // 3):
        cv2.ellipse(image, (centre, SIZE // 2), (width, 110), 0, 0, 360, 50.0, -1)
    cv2.ellipse(image, (SIZE // 2 + 20, 210), (int(random.integers(30, 70)), 50), 20, 0, 360, 190.0, -1)
    image += random.normal(0, 6, image.shape).astype(np.float32)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 2), 0, 255).astype(np.uint8)


def write_studies(folder: Path, count: int, *, first: int = 0) -> None:
    """`count` studies of a frontal and a lateral view, one folder each."""
    for index in range(first, first + count):
        name = f"study-{index:05}"
        for view, seed in (("PA", 2 * index), ("LL", 2 * index + 1)):
            tags = DxTags(study=name, name=view, view_position=view, monochrome1=index % 3 == 0)
            write_dx(folder / name / f"{view}.dcm", shadow(seed), tags)


def write_bad_objects(folder: Path) -> None:
    """A truncated image, a note, an empty file, a lateral without frontal, the same object under a second key."""
    whole = write_dx(folder / "bad-truncated" / "PA.dcm", shadow(1), DxTags(study="truncated", name="PA"))
    whole.write_bytes(whole.read_bytes()[:40_000])
    lateral = DxTags(study="lateral", name="LL", view_position="LL")
    write_dx(folder / "bad-lateral" / "LL.dcm", shadow(2), lateral)
    twice = write_dx(folder / "bad-twice" / "PA.dcm", shadow(3), DxTags(study="twice", name="PA"))
    (folder / "bad-twice" / "copy.dcm").write_bytes(twice.read_bytes())
    (folder / "note.dcm").write_text("not a radiograph", encoding="ascii")
    (folder / "empty.dcm").touch()
