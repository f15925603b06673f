"""What the fuzzer starts from: built radiographs in every syntax, and the corpus' small files made radiographs.

Every built one carries the canary wherever a patient is named, so that a reason or a note that quotes a header
shows. Corpus files of other modalities get the class and modality of a radiograph, of the same length: else the
gate would refuse them and nothing behind it would be tried.
"""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.dicom_builder import dicom_bytes, item

CANARY = "ZZTOP"
LARGEST = 300_000  # bytes of a corpus file that is taken
SIDE = 48  # pixels
UID = "1.2.840.10008.1.2"
CORPUS = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared")) / "dicom"
CLASSES = (b"1.2.840.10008.5.1.4.1.1.1", b"1.2.840.10008.5.1.4.1.1.1.1")  # CR, DX: of 25 and 27 characters
ROWS = (b"\x28\0\x10\0", b"\0\x28\0\x10")  # the element's tag: little, big endian
NAMED: dict[str, Any] = {
    "PatientName": f"{CANARY}^{CANARY}",
    "PatientID": f"{CANARY}-1",
    "AccessionNumber": f"{CANARY}-2",
    "StudyDescription": f"CHEST {CANARY}",
    "SeriesDescription": f"PA {CANARY}",
    "InstitutionName": CANARY,
    "ReferringPhysicianName": f"{CANARY}^Doctor",
    "AdditionalPatientHistory": f"cough, says {CANARY}",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "WindowCenter": 2048,
    "WindowWidth": 4096,
}
Encoder = Callable[[NDArray[Any]], bytes | bytearray]
ENCODERS: dict[str, Encoder] = {
    f"{UID}.4.50": lambda image: imagecodecs.jpeg8_encode((image >> 4).astype(np.uint8), level=90),
    f"{UID}.4.51": lambda image: imagecodecs.jpeg8_encode(image, level=90, bitspersample=12),
    f"{UID}.4.57": lambda image: imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=12),
    f"{UID}.4.70": lambda image: imagecodecs.jpeg8_encode(image, lossless=True, bitspersample=16),
    f"{UID}.4.80": imagecodecs.jpegls_encode,
    f"{UID}.4.81": lambda image: imagecodecs.jpegls_encode(image, level=4),
    f"{UID}.4.90": lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True),
    f"{UID}.4.91": lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", level=80),
    f"{UID}.4.201": lambda image: imagecodecs.htj2k_encode(image, reversible=True),
    f"{UID}.4.203": lambda image: imagecodecs.htj2k_encode(image, level=0.01),
    f"{UID}.5": lambda image: rle(image),  # noqa: PLW0108  # it stands below
    f"{UID}.8.1": lambda image: zlib.compress(image.tobytes(), wbits=-15),
}


def seeds() -> list[bytes]:
    """All of them, in the same order every time."""
    return [*built(), *corpus()]


def built() -> list[bytes]:
    """Sound radiographs of our own."""
    noise = np.random.default_rng(1).integers(0, 64, (SIDE, SIDE))
    image = (np.linspace(0, 4000, SIDE * SIDE).reshape(SIDE, SIDE) + noise).astype(np.uint16)
    small = (image >> 4).astype(np.uint8)
    found = [_encoded(image, small, syntax, encode) for syntax, encode in ENCODERS.items()]
    plain = (f"{UID}.1", ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    found += [dicom_bytes(image, syntax=syntax, **NAMED) for syntax in plain]
    found.append(dicom_bytes(image, syntax=ExplicitVRBigEndian, PixelData=image.astype(">u2").tobytes(), **NAMED))
    found += [dicom_bytes(image, **(NAMED | more)) for more in _variants(image)]
    colour = np.stack([small, small // 2, 255 - small], axis=-1)
    rgb: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    found.append(dicom_bytes(colour, **NAMED, **rgb))
    frame = imagecodecs.jpeg8_encode(colour, level=90)
    found.append(dicom_bytes(colour, **NAMED, **rgb, syntax=f"{UID}.4.50", frame=frame))
    return found


def _encoded(image: NDArray[Any], small: NDArray[Any], syntax: str, encode: Encoder) -> bytes:
    pixels = small if syntax == f"{UID}.4.50" else image
    return dicom_bytes(pixels, syntax=syntax, frame=encode(image), **NAMED)


def _variants(image: NDArray[Any]) -> list[dict[str, Any]]:
    """Headers with more in them: tables, padding, character sets, depth, private elements."""
    descriptor, entries = [4096, 0, 12], np.arange(4096, dtype="<u2").tobytes()
    table = item(LUTDescriptor=descriptor, LUTData=entries)
    return [
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0, "RescaleSlope": -1},
        {"VOILUTSequence": table, "WindowCenter": None, "WindowWidth": None},
        {"ModalityLUTSequence": table},
        {"NumberOfFrames": 3, "PixelData": image.tobytes() * 3},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PixelSpacing": [0.2, 0.1]},
        {"SpecificCharacterSet": "ISO_IR 192", "PixelRepresentation": 1, "VOILUTFunction": "SIGMOID"},
        {"RequestAttributesSequence": item(ReasonForTheRequestedProcedure=f"fall of {CANARY}")},
        {
            "ViewCodeSequence": item(CodeValue="399348003"),
            "PatientSpeciesCodeSequence": item(CodeValue="337915000"),
        },
    ]


def corpus() -> list[bytes]:
    """The corpus' small files of images; none where there is no corpus."""
    if not CORPUS.is_dir():
        return []
    paths = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix not in (".json", ".md"))
    contents = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST]
    return [as_radiograph(content) for content in contents if any(rows in content for rows in ROWS)]


def as_radiograph(content: bytes) -> bytes:
    """The file with a radiograph's class and modality, where they fit in the room of its own."""
    for radiograph in CLASSES:
        for number in b"2 4 7 20 6.1 12.1 12.2 7.1 7.2 7.3 7.4".split():
            other = b"1.2.840.10008.5.1.4.1.1." + number
            if len(other) + len(other) % 2 == len(radiograph) + 1:
                content = content.replace(other.ljust(len(radiograph) + 1, b"\0"), radiograph + b"\0")
    for modality in (b"CT", b"MR", b"OT", b"US", b"XA", b"NM", b"PT"):
        content = content.replace(b"\x08\0\x60\0CS\2\0" + modality, b"\x08\0\x60\0CS\2\0CR")
        content = content.replace(b"\x08\0\x60\0\2\0\0\0" + modality, b"\x08\0\x60\0\2\0\0\0CR")
    return content


def rle(image: NDArray[Any]) -> bytes:
    """PS3.5 annex G, without any run: one segment a byte of the sample, most significant first."""
    planes = image.astype(f">u{image.itemsize}").view(np.uint8).reshape(-1, image.itemsize).T
    segments = [_literal(plane.tobytes()) for plane in planes]
    offsets = np.cumsum([64, *(len(segment) for segment in segments)])[:-1]
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def _literal(plane: bytes) -> bytes:
    runs = (plane[at : at + 128] for at in range(0, len(plane), 128))
    coded = b"".join(bytes([len(run) - 1]) + run for run in runs)
    return coded + b"\0" * (len(coded) % 2)
