"""The views that the view classifier learns from: chests by projection, and what is no chest.

Chests come from a data set as `indiana` lies on disk (`studies.json` beside `images.zip`) and from a set of
frontal radiographs as `radiographs` does (`labels.json`). What is no chest comes from DICOM files, from
phantoms, and from chests turned or cut to pieces. Split by study and patient; nothing of the val side is learnt
from.

Shapes: N images, S = 32 pixels.
"""

import io
import json
import logging
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.utils import pixel_array

from pipeline.phantom import invent, radiograph
from pipeline.phantom_others import ct_slice, hip
from pipeline.study import Pixels
from pipeline.view_classifier import reduced

FRONTAL, LATERAL, OTHER = 0, 1, 2
KEPT_BACK = 10  # one patient in so many of the frontal set is never learnt from
PHANTOMS = 150
CHEST_FILES = ("966", "RG1_", "1s_1f_u_16_16.dcm")  # of the DICOM files: people's chests
KEPT_FILES = ("Kakadu44", "dx_image", "MG1_")  # a hand, a dog, a breast: judged, never learnt from
RADIOGRAPHS, RADIOGRAPH_WEIGHT = frozenset({"CR", "DX", "RG", "RF", "XA"}), 6
LARGEST = 20_000_000  # pixels of a DICOM file worth reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One image small enough to hold many."""

    pixels: Pixels  # [S, S]
    kind: int  # FRONTAL, LATERAL or OTHER
    side: str  # the split: "train", "val", "extra" or "kept back"
    name: str


def chests(folder: Path) -> Iterator[Seen]:
    """Frontals and laterals with their splits."""
    kinds = {"frontal": FRONTAL, "lateral": LATERAL}
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for study in json.loads((folder / "studies.json").read_text(encoding="utf-8")):
            for image in study["images"]:
                if image["view"] in kinds:
                    pixels = _read(archive, image["file"])
                    yield Seen(pixels=pixels, kind=kinds[image["view"]], side=study["split"], name=image["file"])


def frontals(folder: Path) -> Iterator[Seen]:
    """Frontals of other collections, children's among them."""
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for image in json.loads((folder / "labels.json").read_text(encoding="utf-8")):
            kept = zlib.crc32(str(image["patient"]).encode()) % KEPT_BACK == 0
            pixels = _read(archive, image["file"])
            yield Seen(pixels=pixels, kind=FRONTAL, side="kept back" if kept else "train", name=image["file"])


def _read(archive: zipfile.ZipFile, name: str) -> Pixels:
    return reduced(np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L")))


def phantoms() -> Iterator[Seen]:
    """Invented patients; a demo's views are to be told as well as real ones."""
    for seed in range(PHANTOMS):
        for view, kind in (("frontal", FRONTAL), ("lateral", LATERAL)):
            plane = radiograph(
                invent(10_000 + seed), "frontal" if kind == FRONTAL else "lateral", rows=96, columns=96
            )
            yield Seen(pixels=reduced(_grey(plane)), kind=kind, side="train", name=f"{view} phantom {seed}")
    for make in (hip, ct_slice):
        yield Seen(pixels=reduced(_grey(make(96))), kind=OTHER, side="train", name=make.__name__)


def others(folder: Path) -> Iterator[Seen]:
    """Grey images of DICOM files that show no chest from the front or side; radiographs count several times."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # many of the files are damaged on purpose
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(word in path.name for word in CHEST_FILES):
            continue
        pixels, modality = _first_frame(path)
        if pixels is not None:
            side = "kept back" if any(word in path.name for word in KEPT_FILES) else "train"
            weight = RADIOGRAPH_WEIGHT if side == "train" and modality in RADIOGRAPHS else 1
            yield from [Seen(pixels=reduced(pixels), kind=OTHER, side=side, name=path.name)] * weight


def _first_frame(path: Path) -> tuple[NDArray[np.uint8] | None, str]:
    """Any file that pydicom reads, between its 1st and 99.5th percentile; None for the many that it does not."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        modality = str(header.Modality)
        if int(header.Rows) * int(header.Columns) > LARGEST or modality == "SEG":
            return None, modality
        several = int(header.get("NumberOfFrames") or 1) > 1
        frame = pixel_array(path, index=0 if several else None)
    except Exception:  # noqa: BLE001  # hostile files are among them; what cannot be read teaches nothing
        return None, ""
    plane = frame.mean(-1) if frame.ndim > 2 else frame  # noqa: PLR2004
    low, high = np.percentile(plane, (1, 99.5))
    if high <= low or plane.ndim != 2:  # noqa: PLR2004
        return None, modality
    return _grey((plane - low) / (high - low)), modality


def _grey(plane: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(plane, 0, 1) * 255, np.uint8)
