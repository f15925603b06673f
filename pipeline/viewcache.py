"""Views kept between converting and captioning: a folder of PNG files, one for each object and preprocessing.

A cache and nothing more: whatever is missing or damaged is converted again. Written under another name and then
renamed, so that a reader never sees half a file. Must lie outside the source, which is read only to us and whose
listing would find our files.
"""

import os
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import Unavailable, UsageError
from pipeline.study import Pixels, Preprocessing

FORMAT = "v1"  # changes whenever the same bytes would give another view


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
        path = self._path(sha256, preprocessing)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, buffer.getbuffer())
        except OSError as error:
            raise Unavailable(
                f"the view cache {str(self._root)!r} takes no more ({error.strerror}): make room or choose another"
            ) from error

    def get(self, sha256: str, preprocessing: Preprocessing) -> Pixels | None:
        """The view, or None when it is not there whole."""
        try:
            with Image.open(self._path(sha256, preprocessing), formats=("PNG",)) as image:
                pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None  # each is what Pillow raises for one kind of damage
        whole = pixels.dtype == np.uint8 and pixels.shape == (preprocessing.height, preprocessing.width)
        return pixels if whole else None

    def _path(self, sha256: str, preprocessing: Preprocessing) -> Path:
        size = f"{preprocessing.height}x{preprocessing.width}"
        kind = f"{FORMAT}-{size}-{preprocessing.fit}-{preprocessing.resampling}"
        return self._root / kind / sha256[:2] / f"{sha256}.png"


def _write(path: Path, content: memoryview) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_outside(path: Path, source: str, *, what: str) -> None:
    """UsageError when a path of ours lies in the source folder: our own files would be taken for new objects."""
    if "://" in source:
        return
    folder, inside = Path(source).resolve(), path.resolve()
    if inside.is_relative_to(folder):
        raise UsageError(
            f"{what} {str(path)!r} lies inside the source {source!r}, which is only read; name a place outside"
        )
