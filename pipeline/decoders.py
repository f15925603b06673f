"""Which decoder reads which transfer syntax here, under which licence, and whether it gives the known answer.

For each compressed syntax a frame of 16×16 pixels lies beside this module, encoded once from a slope that is
drawn again here; decoding goes the way of every object, through `pipeline.codecs`.
Licences are those of the libraries that imagecodecs' wheel bundles, as their projects state them. Knows no object.
"""

import json
import zlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from struct import pack

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pipeline.codecs import EXPLICIT_BIG, NATIVE, decode
from pipeline.dicom import DEFLATED
from pipeline.errors import NightreadError
from pipeline.layout import Layout
from pipeline.source import Source

SIDE = 16  # pixels
BYTE = 8  # bits
TOLERANCE = 0.012  # of the range; the lossy samples are off by less
_UID = "1.2.840.10008.1.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A decoder as a licence knows it."""

    name: str
    licence: str  # SPDX
    version: Callable[[], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderCheck:
    """One line of the matrix."""

    name: str  # of the transfer syntax
    uid: str
    decoder: str
    version: str
    licence: str
    works: bool
    problem: str  # "" when it works


NUMPY = Library(name="NumPy", licence="BSD-3-Clause", version=lambda: np.__version__)
ZLIB = Library(name="zlib", licence="Zlib", version=lambda: zlib.ZLIB_RUNTIME_VERSION)
IMAGECODECS = Library(
    name="imagecodecs", licence="BSD-3-Clause", version=lambda: _last(imagecodecs.dicomrle_version())
)
JPEG = Library(
    name="libjpeg-turbo",
    licence="IJG AND BSD-3-Clause AND Zlib",
    version=lambda: _last(imagecodecs.jpeg8_version()),
)
JPEG_LS = Library(name="CharLS", licence="BSD-3-Clause", version=lambda: _last(imagecodecs.jpegls_version()))
JPEG_2000 = Library(name="OpenJPEG", licence="BSD-2-Clause", version=lambda: _last(imagecodecs.jpeg2k_version()))

MATRIX: dict[str, tuple[str, Library]] = {
    _UID: ("implicit little endian", NUMPY),
    f"{_UID}.1": ("explicit little endian", NUMPY),
    DEFLATED: ("deflated", ZLIB),
    EXPLICIT_BIG: ("explicit big endian", NUMPY),
    f"{_UID}.4.50": ("JPEG baseline", JPEG),
    f"{_UID}.4.51": ("JPEG extended, 12 bits", JPEG),
    f"{_UID}.4.53": ("JPEG spectral selection", JPEG),
    f"{_UID}.4.55": ("JPEG full progression", JPEG),
    f"{_UID}.4.57": ("JPEG lossless", JPEG),
    f"{_UID}.4.70": ("JPEG lossless SV1", JPEG),
    f"{_UID}.4.80": ("JPEG-LS lossless", JPEG_LS),
    f"{_UID}.4.81": ("JPEG-LS near-lossless", JPEG_LS),
    f"{_UID}.4.90": ("JPEG 2000 lossless", JPEG_2000),
    f"{_UID}.4.91": ("JPEG 2000", JPEG_2000),
    f"{_UID}.4.92": ("JPEG 2000 part 2 lossless", JPEG_2000),
    f"{_UID}.4.93": ("JPEG 2000 part 2", JPEG_2000),
    f"{_UID}.4.201": ("HTJ2K lossless", JPEG_2000),
    f"{_UID}.4.202": ("HTJ2K lossless RPCL", JPEG_2000),
    f"{_UID}.4.203": ("HTJ2K", JPEG_2000),
    f"{_UID}.5": ("RLE", IMAGECODECS),
    f"{_UID}.8.1": ("deflated frame", ZLIB),
}


def sample_image(bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """What the samples show: a slope over the whole range, as [16, 16]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    levels: NDArray[np.float64] = np.rint((x + y) / (2 * SIDE - 2) * ((1 << bits) - 1))
    return levels.astype(np.uint8) if bits <= BYTE else levels.astype(np.uint16)


def read_samples() -> dict[str, tuple[int, bytes]]:
    """Bits and codestream of each compressed syntax' sample."""
    text = files("pipeline").joinpath("decoder_samples.json").read_text(encoding="ascii")
    return {uid: (sample["bits"], b64decode(sample["frame"])) for uid, sample in json.loads(text).items()}


def check_decoders() -> list[DecoderCheck]:
    """Decode every sample."""
    samples = read_samples()
    return [_check(uid, samples.get(uid, (12, b""))) for uid in MATRIX]


def _check(uid: str, sample: tuple[int, bytes]) -> DecoderCheck:
    name, library = MATRIX[uid]
    problem = version = ""
    try:
        version = library.version()
        problem = _problem(uid, *sample)
    except (NightreadError, ImportError) as error:  # a build without this decoder imports it late
        problem = str(error)
    return DecoderCheck(
        name=name,
        uid=uid,
        decoder=library.name,
        version=version,
        licence=library.licence,
        works=not problem,
        problem=problem,
    )


def _problem(uid: str, bits: int, frame: bytes) -> str:
    image = sample_image(bits)
    data = _native(image, uid) if uid in NATIVE else _encapsulated(frame)
    decoded = decode(data, _layout(bits), transfer_syntax=uid, encapsulated=uid not in NATIVE, vr="OW")
    off = int(np.abs(decoded.patterns.astype(int) - image).max())
    return "" if off <= TOLERANCE * (1 << bits) else f"wrong by up to {off} of {1 << bits}"


def _native(image: NDArray[np.uint8] | NDArray[np.uint16], uid: str) -> memoryview:
    content = (image.byteswap() if uid == EXPLICIT_BIG else image).tobytes()
    if uid != DEFLATED:
        return memoryview(content)
    packed = zlib.compress(content, wbits=-zlib.MAX_WBITS)
    source = Source(BytesIO(packed), len(packed))
    source.inflate()
    return source.rest()


def _encapsulated(frame: bytes) -> memoryview:
    """An empty offset table and one fragment (PS3.5 A.4)."""
    return memoryview(pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, len(frame)) + frame)


def _layout(bits: int) -> Layout:
    return Layout(
        rows=SIDE,
        columns=SIDE,
        samples=1,
        photometric="MONOCHROME2",
        planar=False,
        bits_allocated=BYTE if bits <= BYTE else 2 * BYTE,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=False,
        frames=1,
    )


def _last(told: str) -> str:
    """The version from "openjpeg 2.5.4"."""
    return told.rpartition(" ")[2]
