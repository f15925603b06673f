"""What other programs show for a DICOM file: DCMTK's display, after its own decoders or (JPEG 2000) GDCM's.

Nothing here imports the pipeline: the window is chosen from pydicom's reading of the header, or worked out from
pydicom's stored values. The tools run as processes of their own, with bounded memory and time: GDCM is not fit to
read untrusted bytes in a worker. They are found in Debian's packages dcmtk and libgdcm-tools.
"""

import os
import re
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

TOOLS = ("dcm2pnm", "dcmdjpeg", "dcmdjpls", "dcmdrle", "gdcmconv", "prlimit")
MEMORY, SECONDS = 2 << 30, 60
SYNTAX = "1.2.840.10008.1.2"
DECODERS = (
    ({f"{SYNTAX}.5"}, ("dcmdrle",)),
    ({f"{SYNTAX}.4.{number}" for number in (50, 51, 53, 55, 57, 70)}, ("dcmdjpeg",)),
    ({f"{SYNTAX}.4.{number}" for number in (80, 81)}, ("dcmdjpls",)),
    ({f"{SYNTAX}.4.{number}" for number in (90, 91)}, ("gdcmconv", "--raw")),
)
OUTLIERS = (0.005, 0.995)


class NoReference(Exception):
    """The tools cannot show this file either: what they said."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a file shall be shown: arguments of dcm2pnm, and which pixels are painted black."""

    window: tuple[str, ...] = ()
    padding: NDArray[np.bool_] | None = None  # [rows, columns]


def need_tools() -> None:
    """Skip the test where the tools are missing; fail it under CI."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    told = f"not installed: {', '.join(missing)}; tests/services/install does it where apt is"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(told)
    if missing:
        pytest.skip(told)


def header(path: Path) -> Any:
    """The data set without its pixels, as pydicom reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def declared(dataset: Any) -> Choice:
    """What the header asks for: its first VOI LUT, else its first window, else the whole range."""
    if dataset.get("VOILUTSequence"):
        return Choice(window=("--use-voi-lut", "1"))
    if dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth") not in (None, ""):
        return Choice(window=("--use-window", "1"))
    return Choice()


def padded(native: Path, window: tuple[str, ...]) -> Choice:
    """The same window, and padding painted black."""
    return Choice(window=window, padding=_padding(_read(native)))


def percentiles(native: Path) -> Choice:
    """A window over all but half a percent of the image's values at either end, padding not counted.

    Over stored values: a rescale would not change where they lie, and DCMTK rounds rescaled values to whole ones.
    """
    dataset = _read(native)
    assert float(dataset.get("RescaleSlope") or 1) > 0
    stored, padding = _first(dataset.pixel_array), _padding(dataset)
    low, high = np.quantile(stored[~padding], OUTLIERS, method="inverted_cdf").astype(int)
    # PS3.3 C.11.2.1.2.1: from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2
    window = ("--no-modality", "--set-window", str((low + high) / 2 + 0.5), str(high - low + 1))
    return Choice(window=window, padding=padding)


def decoded(path: Path, syntax: str, room: Path) -> Path:
    """The file without compression, in `room`; the file itself where it has none.

    Raises:
        NoReference: when neither DCMTK nor GDCM can.
    """
    native = room / f"{path.name}.native"
    for syntaxes, command in DECODERS:
        if syntax in syntaxes:
            try:
                _run(*command, str(path), str(native))
            except NoReference:
                _run("gdcmconv", "--raw", str(path), str(native))
            return native
    return path


def shown(native: Path, choice: Choice, room: Path) -> NDArray[np.uint8]:
    """The first frame of an uncompressed file in 8 bits, at its own size, without overlays.

    Raises:
        NoReference: when DCMTK cannot.
    """
    image = room / f"{native.name}.pgm"
    _run(
        *("dcm2pnm", "--no-overlays", "--frame", "1", "--write-raw-pnm"),
        *choice.window,
        str(native),
        str(image),
    )
    levels = _pgm(image.read_bytes())
    return levels if choice.padding is None else np.where(choice.padding, 0, levels).astype(np.uint8)


def _run(*command: str) -> None:
    limits = ("prlimit", f"--as={MEMORY}", f"--cpu={SECONDS}")
    told = subprocess.run([*limits, *command], capture_output=True, check=False, timeout=600)
    if told.returncode or not Path(command[-1]).exists():
        raise NoReference(f"{command[0]}: {told.stderr.decode(errors='replace').strip()[-200:]}")


def _pgm(content: bytes) -> NDArray[np.uint8]:
    head = re.match(rb"P5\s+(?:#[^\n]*\n)*(\d+)\s+(\d+)\s+255\s", content)
    assert head is not None, content[:20]
    columns, rows = int(head[1]), int(head[2])
    return np.frombuffer(content, np.uint8, rows * columns, head.end()).reshape(rows, columns)


def whole(path: Path) -> Any:
    """The data set with its pixels, as pydicom reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def _read(native: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(native, force=True)
        _first(dataset.pixel_array)
    return dataset


def _first(frames: NDArray[Any]) -> NDArray[Any]:
    return frames[0] if frames.ndim == 3 else frames


def _padding(dataset: Any) -> NDArray[np.bool_]:
    """Where the stored value is padding (PS3.3 C.7.5.1.1.2)."""
    stored = _first(dataset.pixel_array)
    value, limit = (_sign(dataset.get(name), dataset) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    ends = sorted((value, value if limit is None else limit))
    inside: NDArray[np.bool_] = (stored >= ends[0]) & (stored <= ends[1])
    return inside


def _sign(value: int | None, dataset: Any) -> int | None:
    """As stored: pydicom may have read a signed value as an unsigned one, and the reverse."""
    if value is None:
        return None
    word = int(value) & 0xFFFF
    return word - (1 << 16) if dataset.PixelRepresentation == 1 and word & 0x8000 else word
