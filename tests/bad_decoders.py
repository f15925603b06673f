"""Converting processes whose JPEG-LS decoder breaks as native code does, told by the image's number of rows."""

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import imagecodecs

from worker.converter import ConverterSpec
from worker.converter import serve as serve_well

HANGS, EATS, FALLS, PANICS = 33, 34, 35, 36  # rows of the images that make it so


class PanicException(BaseException):
    """As a Rust extension raises it; its text quotes the object."""


def serve(pipe: Connection, spec: ConverterSpec) -> None:
    """As a converting process does, with the decoder changed."""
    imagecodecs.jpegls_decode = _breaking(imagecodecs.jpegls_decode)
    serve_well(pipe, spec)


def _breaking(decode: Callable[..., Any]) -> Callable[..., Any]:
    def decoder(frame: bytes, *others: Any, **options: Any) -> Any:
        rows = int.from_bytes(frame[frame.index(b"\xff\xf7") + 5 :][:2], "big")
        if rows == HANGS:
            while True:
                pass
        if rows == EATS:
            _eat()
        if rows == FALLS:
            os.kill(os.getpid(), signal.SIGSEGV)
        if rows == PANICS:
            raise PanicException("ZZTOP")
        return decode(frame, *others, **options)

    return decoder


def _eat() -> None:
    eaten: list[bytearray] = []
    while True:
        eaten.append(bytearray(64 << 20))
