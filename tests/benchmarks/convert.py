"""What converting costs, beside the plain way and the memory's own speed: `python -m tests.benchmarks.convert`.

CPU time in one thread, page cache hot, medians of turns taken alternately. The plain way is pydicom's
`pixel_array`, `apply_modality_lut`, `apply_voi_lut`, then Pillow's resize. Ours also decides whether the object is
for us, and looks at what the view shows. The plain way neither hashes nor masks burned-in text, so ours is timed
without either, with its SHA-256, and whole, as a run does it. The last line is JSON; its `speedup_*` are without
either, and end with `_hashed` and `_whole` otherwise.
"""

import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from pipeline.conversion import convert
from pipeline.handling import Handling
from pipeline.study import Converted, Pixels, Preprocessing
from tests.benchmarks import ct_skips, processes, radiograph_files
from tests.benchmarks.alternating import medians

SIZES = (224, 512)
PROBE = 256 << 20  # bytes; far more than any cache holds
BILINEAR = Image.Resampling.BILINEAR


class NoDigest:
    """Stands for a SHA-256 that costs nothing."""

    def update(self, _: object) -> None:
        """Look at nothing."""

    def hexdigest(self) -> str:
        """No digest."""
        return ""


def ours(path: Path, size: int, *, masks_text: bool = False) -> Pixels:
    """The view as a run makes it; with `masks_text`, where a site has not switched that off."""
    wanted = Preprocessing(height=size, width=size, fit="squash")
    with path.open("rb", buffering=0) as stream:
        made = convert(
            stream, size=path.stat().st_size, preprocessing=wanted, handling=Handling(masks_text=masks_text)
        )
    assert isinstance(made, Converted), made
    return made.view.pixels


def unhashed(path: Path, size: int) -> Pixels:
    """The same without the object's digest."""
    with patch("pipeline.source.hashlib.sha256", NoDigest):
        return ours(path, size)


def plain(path: Path, size: int) -> Pixels:
    """As anybody would write it."""
    return np.asarray(Image.fromarray(_levels(path).astype(np.uint8)).resize((size, size), BILINEAR))


def in_floats(path: Path, size: int) -> NDArray[np.float32]:
    """Antialiased bilinear of the displayed levels, without any rounding on the way."""
    image = Image.fromarray(_levels(path).astype(np.float32))
    return np.asarray(image.resize((size, size), BILINEAR))


def _levels(path: Path) -> NDArray[np.float64]:
    dataset = pydicom.dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    return np.asarray(np.rint(shown * (255 / ((1 << dataset.BitsStored) - 1))), np.float64)


def floor(path: Path) -> float:
    """Seconds in which the memory could have delivered the object's bytes."""
    room = np.ones(PROBE // 8, np.int64)
    return medians({"read": room.max})["read"] * path.stat().st_size / PROBE


def compare(path: Path, size: int) -> dict[str, float]:
    """Seconds of each way to views of this size; prints them and how far the views are from the exact one."""
    ways: dict[str, Callable[[], Pixels]] = {
        "plain": partial(plain, path, size),
        "ours": partial(unhashed, path, size),
        "ours, hashed": partial(ours, path, size),
        "ours, whole": partial(ours, path, size, masks_text=True),
    }
    seconds = medians(ways, rounds=25)
    exact = in_floats(path, size)
    print(f"\nto {size} × {size}       ms  times faster   levels from bilinear in floats: most, mean")
    for name, way in ways.items():
        away = np.abs(way() - exact)
        faster = seconds["plain"] / seconds[name]
        print(f"{name:<14} {1000 * seconds[name]:>8.2f} {faster:>13.2f} {away.max():>39.2f} {away.mean():>6.3f}")
    return seconds


def compare_with_decoders(folder: Path, values: NDArray[np.uint16]) -> dict[str, float]:
    """Prints each syntax' decoder and our whole; the most milliseconds that any needs beyond its decoder."""
    print(f"\nto {SIZES[1]} × {SIZES[1]}      decoder ms  whole beyond it  and hashed")
    most = {"beyond_decoder_ms": 0.0, "beyond_decoder_ms_hashed": 0.0}
    for encoding in radiograph_files.encodings(values):
        path = folder / "compressed.dcm"
        path.write_bytes(radiograph_files.compressed(encoding))
        ways: dict[str, Callable[[], object]] = {
            "decoder": partial(encoding.decode, encoding.frame),
            "beyond_decoder_ms": partial(unhashed, path, SIZES[1]),
            "beyond_decoder_ms_hashed": partial(ours, path, SIZES[1]),
        }
        seconds = medians(ways)
        beyond = {name: round(1000 * (seconds[name] - seconds["decoder"]), 1) for name in most}
        most = {name: max(most[name], beyond[name]) for name in most}
        plainly, hashed = beyond.values()
        print(f"{encoding.name:<19} {1000 * seconds['decoder']:>8.1f} {plainly:>16.1f} {hashed:>11.1f}")
    return most


def measure(folder: Path) -> dict[str, float]:
    """Everything, printed on the way."""
    values, origin = radiograph_files.pixels()
    path = folder / "radiograph.dcm"
    path.write_bytes(radiograph_files.uncompressed(values))
    load, bytes_ = os.getloadavg()[0], path.stat().st_size
    print(f"{origin}, {values.shape[0]} × {values.shape[1]}, {bytes_:,} bytes; the machine's load {load:.1f}")
    seconds = {size: compare(path, size) for size in SIZES}
    least = floor(path)
    figures = {
        f"speedup_{size}{suffix}": round(seconds[size]["plain"] / seconds[size][way], 2)
        for size in SIZES
        for way, suffix in (("ours", ""), ("ours, hashed", "_hashed"), ("ours, whole", "_whole"))
    }
    figures["speedup_512_near"] = figures["speedup_512"]  # no way with less precision was worth having
    print(f"\nfloor: {1000 * least:.2f} ms ({path.stat().st_size / least / 1e9:.1f} GB/s)")
    figures["floor_multiple_512"] = round(seconds[512]["ours"] / least, 1)
    figures["floor_multiple_512_hashed"] = round(seconds[512]["ours, hashed"] / least, 1)
    figures |= compare_with_decoders(folder, values)
    figures |= processes.measure(path)
    figures |= ct_skips.measure(folder)
    return figures


def main() -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
