"""Encoders for every compressed transfer syntax that is read, for tests that know what went in.

imagecodecs encodes what it can; RLE and the deflated frame are written here after PS3.5, annexes G and A. Images
are [rows, columns], unsigned, of as many bits as an `Encoder` is asked for.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

UID = "1.2.840.10008.1.2"
Encode: TypeAlias = Callable[[NDArray[Any], int], bytes | bytearray]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One way to compress a frame."""

    syntax: str
    encode: Encode  # the image and its bits
    depths: tuple[int, ...]  # bits that the syntax can hold
    loss: float = 0.0  # the greatest difference, as a share of the range
    in_one_fragment: bool = False  # nothing in the stream tells where it ends


def rle(image: NDArray[Any], _bits: int = 16) -> bytes:
    """PS3.5 annex G, in literal runs alone; colour ([rows, columns, 3]) by plane."""
    samples = np.moveaxis(image, -1, 0) if image.ndim == 3 else image[np.newaxis]
    segments = [
        _literal_runs(plane.tobytes())
        for sample in samples
        for plane in sample.astype(f">u{image.itemsize}").view(np.uint8).reshape(-1, image.itemsize).T
    ]
    offsets = np.cumsum([64, *(len(segment) for segment in segments)])[:-1]
    head = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return head + b"".join(segments)


def _literal_runs(plane: bytes) -> bytes:
    runs = (plane[at : at + 128] for at in range(0, len(plane), 128))
    coded = b"".join(bytes([len(run) - 1]) + run for run in runs)
    return coded + b"\0" * (len(coded) % 2)


def deflated(image: NDArray[Any], _bits: int = 16) -> bytes:
    """PS3.5 A.4.13: the frame's bytes as a raw deflate stream."""
    content = zlib.compress(image.tobytes(), wbits=-15)
    return content + b"\0" * (len(content) % 2)


def _lossless_jpeg(predictor: int) -> Encode:
    return lambda image, bits: imagecodecs.jpeg8_encode(
        image, lossless=True, predictor=predictor, bitspersample=bits
    )


def _jpeg_2000(image: NDArray[Any], bits: int) -> bytes | bytearray:
    return imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True, bitspersample=bits)


def _progressive(image: NDArray[Any], _bits: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, progressive=True)
    return buffer.getvalue()


def _of(number: str, encode: Encode, *depths: int, loss: float = 0.0, in_one_fragment: bool = False) -> Encoder:
    return Encoder(
        syntax=f"{UID}.{number}",
        encode=encode,
        depths=depths,
        loss=loss,
        in_one_fragment=in_one_fragment,
    )


ENCODERS = {
    "RLE": _of("5", rle, 8, 12, 16, in_one_fragment=True),
    "deflated frame": _of("8.1", deflated, 8, 12, 16, in_one_fragment=True),
    "JPEG baseline": _of("4.50", lambda image, _: imagecodecs.jpeg8_encode(image, level=95), 8, loss=0.012),
    "JPEG extended": _of(
        "4.51", lambda image, _: imagecodecs.jpeg8_encode(image, level=95, bitspersample=12), 12, loss=0.002
    ),
    "JPEG spectral selection": _of("4.53", _progressive, 8, loss=0.012),
    "JPEG progression": _of("4.55", _progressive, 8, loss=0.012),
    "JPEG lossless, predictor 6": _of("4.57", _lossless_jpeg(6), 8, 12, 16),
    "JPEG lossless, predictor 4": _of("4.57", _lossless_jpeg(4), 8, 12, 16),
    "JPEG lossless SV1": _of("4.70", _lossless_jpeg(1), 8, 12, 16),
    "JPEG-LS": _of("4.80", lambda image, _: imagecodecs.jpegls_encode(image), 8, 12, 16),
    "JPEG-LS near": _of("4.81", lambda image, _: imagecodecs.jpegls_encode(image, level=2), 8, 12, 16, loss=0.008),
    "JPEG 2000 lossless": _of("4.90", _jpeg_2000, 8, 12, 16),
    "JPEG 2000": _of(
        "4.91",
        lambda image, bits: imagecodecs.jpeg2k_encode(image, codecformat="j2k", level=90, bitspersample=bits),
        *(8, 12, 16),
        loss=0.005,
    ),
    "JPEG 2000 part 2 lossless": _of("4.92", _jpeg_2000, 8, 12, 16),
    "JPEG 2000 part 2": _of("4.93", _jpeg_2000, 8, 12, 16),
    "HTJ2K lossless": _of("4.201", lambda image, _: imagecodecs.htj2k_encode(image, reversible=True), 8, 12, 16),
    "HTJ2K RPCL": _of("4.202", lambda image, _: imagecodecs.htj2k_encode(image, reversible=True), 8, 12, 16),
    "HTJ2K": _of(
        "4.203",
        lambda image, _: imagecodecs.htj2k_encode(image, level=0.0005, reversible=False),
        *(8, 12, 16),
        loss=0.015,
    ),
}
