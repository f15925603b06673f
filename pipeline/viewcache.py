"""Views kept between converting and captioning: PNG files in a folder or S3 bucket, by object and preprocessing.

A cache and nothing more: whatever is missing or damaged is converted again. In a folder a view is written under
another name and then renamed, so that a reader never sees half a file. Must lie outside the source, which is read
only to us and whose listing or events would tell of our files.
"""

import os
import tempfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image

from pipeline.errors import Unavailable, UsageError
from pipeline.study import Pixels, Preprocessing

FORMAT = "v2"  # changes whenever the same bytes would give another view


class ViewStore(Protocol):
    """A place for views. Calls may block on a disk or a network."""

    def put(self, sha256: str, preprocessing: Preprocessing, pixels: Pixels) -> None:
        """Keep a view, whole or not at all; Unavailable when the place does not take it."""

    def get(self, sha256: str, preprocessing: Preprocessing) -> Pixels | None:
        """The view, or None when it is not there whole."""


def open_view_cache(place: str) -> ViewStore:
    """The cache at `s3://bucket/prefix`, or in the folder of that path; UsageError when it cannot be one."""
    if "://" not in place:
        return FolderViewCache(Path(place))
    from pipeline.s3_viewcache import open_s3_view_cache  # noqa: PLC0415 (boto3 takes 0.3 s to import)

    return open_s3_view_cache(place)


class FolderViewCache:
    """Views below a folder. Any number of processes may use the same one."""

    def __init__(self, path: Path) -> None:
        self._root = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the view cache {str(path)!r} cannot be made ({error.strerror}): choose another"
            ) from error

    def put(self, sha256: str, preprocessing: Preprocessing, pixels: Pixels) -> None:
        """Keep a view; Unavailable when the disk does not take it."""
        path = self._root / view_name(sha256, preprocessing)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, encoded(pixels))
        except OSError as error:
            raise Unavailable(
                f"the view cache {str(self._root)!r} takes no more ({error.strerror}): make room or choose another"
            ) from error

    def get(self, sha256: str, preprocessing: Preprocessing) -> Pixels | None:
        """The view, or None when it is not there whole."""
        try:
            with (self._root / view_name(sha256, preprocessing)).open("rb") as file:
                return decoded(file, preprocessing)
        except OSError:
            return None


def view_name(sha256: str, preprocessing: Preprocessing) -> str:
    """Where in a cache the view lies."""
    size = f"{preprocessing.height}x{preprocessing.width}"
    kind = f"{FORMAT}-{size}-{preprocessing.fit}-{preprocessing.resampling}"
    return f"{kind}/{sha256[:2]}/{sha256}.png"


def encoded(pixels: Pixels) -> bytes:
    """The view's file."""
    buffer = BytesIO()
    # Matches of one byte only: faster than looking for longer ones, and a sixth smaller on radiographs.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def decoded(file: BinaryIO, preprocessing: Preprocessing) -> Pixels | None:
    """The view in a file, None when it is damaged or another one."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # each is what Pillow raises for one kind of damage
    whole = pixels.dtype == np.uint8 and pixels.shape == (preprocessing.height, preprocessing.width)
    return pixels if whole else None


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_outside(place: Path | str, source: str, *, what: str) -> None:
    """UsageError when a place of ours lies in the source: our own files would be taken for new objects."""
    if "://" in source or "://" in str(place):
        inside = "://" in source and "://" in str(place) and _keys(f"{place}/").startswith(_keys(source))
    else:
        inside = Path(place).resolve().is_relative_to(Path(source).resolve())
    if inside:
        raise UsageError(
            f"{what} {str(place)!r} lies inside the source {source!r}, which is only read; name a place outside"
        )


def _keys(place: str) -> str:
    """How the keys of an S3 place begin, its bucket included; `s3://scans` does not cover `s3://scans-2`."""
    bucket, _, prefix = place.partition("://")[2].partition("/")
    return f"{bucket}/{prefix}"
