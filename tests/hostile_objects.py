"""Objects made to hurt, and a child process that converts each under limits: `python -m tests.hostile_objects`.

Prints one JSON object: for each name the outcome, its reason and its CPU seconds; and the peak memory of all in
bytes. Where each known attack is tried:

- a deflated data set or frame that grows: "deflate bomb", "… in the pixels", "a deflated frame …", "RLE that
  grows"; through a whole night in `tests/acceptance/test_hostile.py`
- a million items or fragments: "1.25 million …", "endless sequence"
- depth: "nesting of …"; private, in `tests/unit/test_hostile_headers.py`
- a header or codestream that lies about its size, in each syntax: "native …", "a … frame of …", "RLE that …";
  against the header, in `tests/unit/test_codecs.py`
- frames by the thousand: "10000 frames …", "100000 frames …", "2147483647 …"
- lengths past the end: "an element of 4 GB", "pixels of 4 GB", "an offset table of 4 GB"
- files cut in half: "an encapsulated file …", "a native file …"; frames cut at 60 % and 64 corrupted bytes, in
  each syntax: `tests/unit/test_codecs.py`
- what native code raises: `tests/integration/test_hostile.py`; a decoder that hangs, eats memory, falls or panics:
  `tests/integration/test_bad_decoders.py`
- programs in the preamble: `tests/unit/test_polyglots.py`
- character sets, private elements, absurd numbers: `tests/unit/test_hostile_headers.py`
- whatever nobody thought of: `tests/integration/test_fuzz.py`
"""

import json
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate

from pipeline.study import Converted
from tests.dicom_builder import convert_bytes, dicom_bytes, ramp

UID = "1.2.840.10008.1.2"
ADDRESS_SPACE = 4 << 30  # the libraries alone map more than one; what is used is measured beside it
EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
SEQUENCE = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff"  # (0008,1140), undefined length
ROWS_AT = b"\x28\0\x10\0US\2\0"


def _insert(content: bytes, added: bytes, before: bytes = ROWS_AT) -> bytes:
    at = content.index(before)
    return content[:at] + added + content[at:]


def _nested(depth: int) -> bytes:
    opened = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + SEQUENCE
    closed = b"\xfe\xff\xdd\xe0\0\0\0\0\xfe\xff\x0d\xe0\0\0\0\0"
    return _insert(dicom_bytes(), SEQUENCE + opened * depth + closed * depth + b"\xfe\xff\xdd\xe0\0\0\0\0")


def _claims(syntax: str | None, frame: bytes | None) -> bytes:
    return dicom_bytes(Rows=65535, Columns=65535, NumberOfFrames=10000, frame=frame, syntax=syntax or f"{UID}.1")


def _deflate_bomb(tag: bytes = b"\x09\0\x10\0OB\0\0") -> bytes:
    """One block of zeros, deflated, repeated up to a gigabyte."""
    meta = dicom_bytes(syntax=f"{UID}.1.99")
    plain = dicom_bytes()
    begun = plain[plain.index(b"\x08\0\x16\0UI") : plain.index(b"\xe0\x7f\x10\0")] if tag[0] == 0xE0 else b""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    start = meta.index(f"{UID}.1.99".encode()) + 22
    element = zlib.compressobj(9, wbits=-15)
    head = element.compress(begun + tag + struct.pack("<L", 1 << 30))
    return meta[:start] + head + element.flush(zlib.Z_FULL_FLUSH) + block * 64


def _lying_jpeg(rows: int, columns: int) -> bytes:
    frame = bytearray(imagecodecs.jpeg8_encode(np.zeros((16, 16), np.uint8)))
    at = frame.index(b"\xff\xc0")
    struct.pack_into(">HH", frame, at + 5, rows, columns)
    return bytes(frame)


def _lying_jpegls(side: int) -> bytes:
    frame = bytearray(imagecodecs.jpegls_encode(ramp()))
    struct.pack_into(">HH", frame, frame.index(b"\xff\xf7") + 5, side, side)
    return bytes(frame)


def _lying_j2k(side: int, *, high_throughput: bool = False) -> bytes:
    if high_throughput:
        frame = bytearray(imagecodecs.htj2k_encode(ramp(), reversible=True))
    else:
        frame = bytearray(imagecodecs.jpeg2k_encode(ramp(), codecformat="j2k", reversible=True))
    at = frame.index(b"\xff\x51")
    struct.pack_into(">LL", frame, at + 6, side, side)
    struct.pack_into(">LL", frame, at + 22, side, side)
    return bytes(frame)


def _empty_fragments() -> bytes:
    content = dicom_bytes(syntax=f"{UID}.4.80", frame=imagecodecs.jpegls_encode(ramp()))
    return content[: content.rindex(b"\xfe\xff\xdd\xe0")] + EMPTY_ITEM * 1_250_000


def _deflated_frame_bomb() -> bytes:
    """A megabyte that would inflate to a gigabyte, as one frame of a deflated image frame (8.1)."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return dicom_bytes(syntax=f"{UID}.8.1", frame=block * 60)


def _rle_bomb() -> bytes:
    run = b"\x81\0" * 500_000  # a megabyte that would grow to 64
    head = struct.pack("<16L", 2, 64, 64 + len(run), *[0] * 13)
    return dicom_bytes(syntax=f"{UID}.5", frame=head + run + run)


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


OBJECTS: dict[str, Callable[[], bytes]] = {
    "native 65535×65535×10000": lambda: _claims(None, None),
    "JPEG 65535×65535×10000": lambda: _claims(f"{UID}.4.50", _lying_jpeg(65535, 65535)),
    "native 8000×8000 without its pixels": lambda: dicom_bytes(Rows=8000, Columns=8000),
    "10000 frames of a small image": lambda: dicom_bytes(NumberOfFrames=10000),
    "2147483647 compressed frames": lambda: dicom_bytes(
        syntax=f"{UID}.4.80", frame=imagecodecs.jpegls_encode(ramp()), NumberOfFrames=2147483647
    ),
    "deflate bomb": _deflate_bomb,
    "deflate bomb in the pixels": lambda: _deflate_bomb(b"\xe0\x7f\x10\0OW\0\0"),
    "1.25 million empty items": lambda: _insert(dicom_bytes(), SEQUENCE + EMPTY_ITEM * 1_250_000),
    "1.25 million items in a table's sequence": lambda: _insert(
        dicom_bytes(),
        b"\x28\0\x10\x30SQ\0\0" + struct.pack("<L", 8 * 1_250_000) + EMPTY_ITEM * 1_250_000,
        before=b"\xe0\x7f\x10\0",
    ),
    "endless sequence": lambda: _insert(dicom_bytes(), SEQUENCE + b"\xfe\xff\x00\xe0\xff\xff\xff\xff")[:-300],
    "nesting of 400": lambda: _nested(400),
    "nesting of 20000": lambda: _nested(20_000),
    "nesting of 100000": lambda: _nested(100_000),
    "1.25 million empty fragments": _empty_fragments,
    "an element of 4 GB": lambda: _insert(dicom_bytes(), b"\x08\0\x40\x11OB\0\0\xf0\xff\xff\xff"),
    "pixels of 4 GB": lambda: dicom_bytes().replace(
        b"\xe0\x7f\x10\0OW\0\0\0\2\0\0", b"\xe0\x7f\x10\0OW\0\0\xf0\xff\xff\xff"
    ),
    "a JPEG frame of 65500×65500": lambda: dicom_bytes(
        ramp(top=255).astype(np.uint8), syntax=f"{UID}.4.50", frame=_lying_jpeg(65500, 65500)
    ),
    "a JPEG frame of 8000×8000": lambda: dicom_bytes(
        ramp(top=255).astype(np.uint8),
        Rows=8000,
        Columns=8000,
        syntax=f"{UID}.4.50",
        frame=_lying_jpeg(8000, 8000),
    ),
    "a JPEG 2000 frame of 60000×60000": lambda: dicom_bytes(syntax=f"{UID}.4.90", frame=_lying_j2k(60000)),
    "a JPEG 2000 frame of 8000×8000": lambda: dicom_bytes(
        Rows=8000, Columns=8000, syntax=f"{UID}.4.90", frame=_lying_j2k(8000)
    ),
    "a compressed frame far larger than its image": lambda: dicom_bytes(
        syntax=f"{UID}.4.80", frame=imagecodecs.jpegls_encode(ramp()) + bytes(2 << 20) + b"\xff\xd9"
    ),
    "a JPEG-LS frame of 60000×60000": lambda: dicom_bytes(syntax=f"{UID}.4.80", frame=_lying_jpegls(60000)),
    "a JPEG-LS frame of 8000×8000": lambda: dicom_bytes(
        Rows=8000, Columns=8000, syntax=f"{UID}.4.80", frame=_lying_jpegls(8000)
    ),
    "a high-throughput frame of 60000×60000": lambda: dicom_bytes(
        syntax=f"{UID}.4.201", frame=_lying_j2k(60000, high_throughput=True)
    ),
    "a high-throughput frame of 8000×8000": lambda: dicom_bytes(
        Rows=8000, Columns=8000, syntax=f"{UID}.4.201", frame=_lying_j2k(8000, high_throughput=True)
    ),
    "a deflated frame that grows": _deflated_frame_bomb,
    "100000 frames of a compressed image": lambda: dicom_bytes(
        syntax=f"{UID}.4.90",
        frame=imagecodecs.jpeg2k_encode(ramp(), codecformat="j2k", reversible=True),
        NumberOfFrames=100_000,
    ),
    "RLE that grows": _rle_bomb,
    "RLE that points nowhere": lambda: dicom_bytes(
        syntax=f"{UID}.5", frame=struct.pack("<16L", 2, 1 << 31, 1 << 30, *[0] * 13) + bytes(64)
    ),
    "an encapsulated file cut in half": lambda: _half(
        dicom_bytes(ramp(128, 128), syntax=f"{UID}.4.80", frame=imagecodecs.jpegls_encode(ramp(128, 128)))
    ),
    "a native file cut in half": lambda: _half(dicom_bytes(ramp(128, 128))),
    "rows that are no number": lambda: dicom_bytes().replace(b"US\2\0\x10\0\x28\0\x11", b"1A\2\0\x10\0\x28\0\x11"),
    "an offset table of 4 GB": lambda: dicom_bytes(
        syntax=f"{UID}.4.80",
        frame=b"\0",
        PixelData=encapsulate([b"\0\0"]).replace(b"\0\xe0\4\0\0\0", b"\0\xe0\xff\xff\xff\xff", 1),
    ),
}


def _peak() -> int:
    """Bytes of this program's own peak: `ru_maxrss` would start at the peak of whoever started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Convert all, under a limit, and tell."""
    contents = {name: build() for name, build in OBJECTS.items()}
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    before = _peak()
    outcomes = {}
    for name, content in contents.items():
        start = time.process_time()
        result = convert_bytes(content)
        seconds = time.process_time() - start
        outcome = "converted" if isinstance(result, Converted) else "failed" if result.failed else "skipped"
        reason = "; ".join(result.view.notes) if isinstance(result, Converted) else result.reason
        outcomes[name] = {"outcome": outcome, "reason": reason, "seconds": seconds}
    peak = _peak()
    json.dump({"outcomes": outcomes, "built": before, "peak": peak}, sys.stdout)


if __name__ == "__main__":
    main()
