"""The files that converting is timed on: one large radiograph uncompressed and in each syntax, and a CT study.

The radiograph is a real one where the test data are (a hand of 2500 × 2048, 12 bits in 16), else a phantom's chest
of that size with a detector's noise.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.encoders.base import RLELosslessEncoder

from pipeline.phantom import invent, radiograph
from tests.dicom_builder import CR_IMAGE, CT_IMAGE, dicom_bytes

ROWS, COLUMNS, TOP = 2500, 2048, 4095
FOLDER = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared")) / "dicom"
UID = "1.2.840.10008.1.2"
SLICE = 512  # pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """One compressed syntax: the frame, and what its decoder alone does with it."""

    name: str
    syntax: str
    frame: bytes
    pixels: NDArray[Any]
    decode: Callable[[bytes], object]


def pixels() -> tuple[NDArray[np.uint16], str]:
    """[2500, 2048] 12-bit values, and where they come from."""
    found = sorted(FOLDER.glob("**/*NM_Kakadu44_SOTmarkerincons.dcm"))
    if found:
        return np.asarray(pydicom.dcmread(found[0]).pixel_array, np.uint16), "a real CR"
    seen = radiograph(invent(4), "frontal", rows=ROWS, columns=COLUMNS)
    return np.rint(seen * TOP).astype(np.uint16), "a phantom"


def uncompressed(values: NDArray[np.uint16]) -> bytes:
    """The radiograph as an archive holds it, 10 MB."""
    return _file(values)


def compressed(encoding: Encoding) -> bytes:
    """The radiograph in another syntax."""
    return _file(encoding.pixels, syntax=encoding.syntax, frame=encoding.frame)


def encodings(values: NDArray[np.uint16]) -> list[Encoding]:
    """The radiograph in every kind of compression; baseline JPEG has 8 of its 12 bits."""
    small = (values >> 4).astype(np.uint8)
    lossy: dict[str, Any] = {"level": 90}
    jpeg, jpegls, jpeg2k = imagecodecs.jpeg_decode, imagecodecs.jpegls_decode, imagecodecs.jpeg2k_decode
    rle = RLELosslessEncoder.encode(
        values.tobytes(), rows=ROWS, columns=COLUMNS, samples_per_pixel=1, bits_allocated=16, bits_stored=12,
        photometric_interpretation="MONOCHROME2", pixel_representation=0, number_of_frames=1,
    )  # fmt: skip
    j2k: dict[str, Any] = {"codecformat": "j2k", "bitspersample": 12}
    cases: list[tuple[str, str, bytes | bytearray, NDArray[Any], Callable[[bytes], object]]] = [
        ("RLE", "5", rle, values, partial(_decode_rle, room=values.nbytes)),
        ("JPEG baseline", "4.50", imagecodecs.jpeg_encode(small, **lossy), small, jpeg),
        ("JPEG 12 bits", "4.51", imagecodecs.jpeg_encode(values, bitspersample=12, **lossy), values, jpeg),
        ("JPEG lossless", "4.70", imagecodecs.ljpeg_encode(values, bitspersample=12), values, jpeg),
        ("JPEG-LS", "4.80", imagecodecs.jpegls_encode(values), values, jpegls),
        ("JPEG-LS near", "4.81", imagecodecs.jpegls_encode(values, level=2), values, jpegls),
        ("JPEG 2000 lossless", "4.90", imagecodecs.jpeg2k_encode(values, reversible=True, **j2k), values, jpeg2k),
        ("JPEG 2000", "4.91", imagecodecs.jpeg2k_encode(values, level=60, **j2k), values, jpeg2k),
        ("HTJ2K lossless", "4.201", imagecodecs.htj2k_encode(values), values, jpeg2k),
    ]
    return [
        Encoding(name=name, syntax=f"{UID}.{number}", frame=bytes(frame), pixels=array, decode=decode)
        for name, number, frame, array, decode in cases
    ]


def write_ct_study(folder: Path, slices: int) -> int:
    """CT slices of 525 kB each; returns their bytes. What nobody may read takes no room on the disk."""
    folder.mkdir()
    size = 2 * SLICE * SLICE
    for number in range(slices):
        uid = f"1.2.3.{number}"
        whole = dicom_bytes(
            np.zeros((1, 1), np.uint16),
            SOPClassUID=CT_IMAGE, Modality="CT", SOPInstanceUID=uid, InstanceNumber=number, Rows=SLICE,
            Columns=SLICE, PixelSpacing=[0.7, 0.7], ImagePositionPatient=[0, 0, number], SliceThickness=1,
        )  # fmt: skip
        header = whole[:-6] + size.to_bytes(4, "little")  # the pixels' length, in place of the two bytes' of one
        with (folder / f"{number:04}.dcm").open("wb") as file:
            file.write(header)
            file.truncate(len(header) + size)
    return sum(path.stat().st_size for path in folder.iterdir())


def _decode_rle(frame: bytes, *, room: int) -> object:
    return imagecodecs.dicomrle_decode(frame, np.dtype(np.uint16), out=np.empty(room, np.uint8).data)


def _file(values: NDArray[Any], **how: Any) -> bytes:
    top = int(np.iinfo(np.uint8).max if values.dtype == np.uint8 else TOP)
    return dicom_bytes(
        values, SOPClassUID=CR_IMAGE, Modality="CR", WindowCenter=(top + 1) / 2, WindowWidth=top + 1, **how
    )
