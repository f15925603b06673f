"""The bytes of one object, read forward once: a window for the header, then the rest in one piece; hashed.

Assumes a stream that only goes forward (one GET). Inflates a deflated data set (PS3.5 A.5) as it is asked for,
never more than `INFLATED_LIMIT`, so that a megabyte cannot become a gigabyte. Knows nothing of DICOM's elements.
"""

import hashlib
import zlib
from typing import BinaryIO

import numpy as np

from pipeline.errors import BadObject

FIRST_READ = 16 << 10  # bytes; holds the header of almost every object that is refused by its class
LARGEST_READ = 1 << 20
HEADER_LIMIT = 64 << 20
OBJECT_LIMIT = 512 << 20
INFLATED_LIMIT = 256 << 20


class Truncated(BadObject):
    """The object ended where more bytes had to follow."""


class Source:
    """A forward reader over one object. `position` counts bytes of the data set as read (inflated, if it is)."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.position = 0
        self._stream = stream
        self._size = size
        self._window = bytearray()
        self._digest = hashlib.sha256()
        self._fetched = 0
        self._step = FIRST_READ
        self._inflater: zlib._Decompress | None = None

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes from here, without moving."""
        self._fill(self.position + count)
        return bytes(self._window[self.position : self.position + count])

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or Truncated."""
        end = self.position + count
        if end > len(self._window):
            self._fill(end)
            if end > len(self._window):
                raise Truncated("truncated: the object ends in the middle of its header")
        value = bytes(self._window[self.position : end])
        self.position = end
        return value

    def skip(self, count: int) -> None:
        """Pass over `count` bytes, or Truncated."""
        end = self.position + count
        if end > len(self._window):
            self._fill(end)
            if end > len(self._window):
                raise Truncated("truncated: the object ends in the middle of its header")
        self.position = end

    def since(self, start: int) -> bytes:
        """The bytes from `start` to here, which were read or skipped before."""
        return bytes(self._window[start : self.position])

    def inflate(self) -> None:
        """Take all that follows as a raw deflate stream."""
        waiting = bytes(self._window[self.position :])
        del self._window[self.position :]
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._expand(waiting)

    def rest(self) -> memoryview:
        """Everything from here to the object's end, read once; afterwards `sha256` is known."""
        if self._size > OBJECT_LIMIT:
            raise BadObject(f"the object has {self._size >> 20} MB; the limit is {OBJECT_LIMIT >> 20} MB")
        if self._inflater is not None:
            while self._fetch():
                pass
            return memoryview(self._window)[self.position :]
        return self._read_to_end()

    def sha256(self) -> str:
        """The digest of the object's own bytes, as stored; valid after `rest`."""
        return self._digest.hexdigest()

    def _read_to_end(self) -> memoryview:
        """One buffer of the listed size, filled in place: the pixels are never copied."""
        held = len(self._window) - self.position
        buffer = np.empty(held + max(0, self._size - self._fetched), np.uint8).data
        buffer[:held] = self._window[self.position :]
        filled = held
        readinto = getattr(self._stream, "readinto", None)
        while filled < len(buffer):
            if readinto is not None:
                count = readinto(buffer[filled:]) or 0
            else:
                chunk = self._stream.read(min(LARGEST_READ, len(buffer) - filled))
                count = len(chunk)
                buffer[filled : filled + count] = chunk
            if count == 0:
                break
            self._digest.update(buffer[filled : filled + count])
            filled += count
        if self._stream.read(1):
            raise BadObject(f"the object is longer than the {self._size} bytes it was listed with")
        return buffer[:filled]

    def _fill(self, end: int) -> None:
        if end > HEADER_LIMIT:
            self._refuse_if_real(end)
        while len(self._window) < end and self._fetch():
            pass

    def _refuse_if_real(self, end: int) -> None:
        if self._inflater is None and end > self._size + 0xFFFF:
            raise Truncated("truncated: an element is longer than the object")
        raise BadObject(f"the header is larger than {HEADER_LIMIT >> 20} MB")

    def _fetch(self) -> bool:
        chunk = self._stream.read(self._step)
        self._step = min(2 * self._step, LARGEST_READ)
        if not chunk:
            return False
        self._digest.update(chunk)
        self._fetched += len(chunk)
        if self._inflater is None:
            self._window += chunk
        else:
            self._expand(chunk)
        return True

    def _expand(self, chunk: bytes) -> None:
        assert self._inflater is not None
        try:
            self._window += self._inflater.decompress(chunk, INFLATED_LIMIT + 1 - len(self._window))
        except zlib.error as error:
            raise BadObject("the deflated data set is damaged") from error
        if len(self._window) > INFLATED_LIMIT:
            raise BadObject(f"the deflated data set grows beyond {INFLATED_LIMIT >> 20} MB")
