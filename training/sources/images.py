"""Where the images of a data set lie: in a zip archive, in folders, or in a tar archive."""

import shutil
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")


class ZippedImages:
    """A zip archive. Files go by their names without folders; the archive is opened when first asked."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UsageError(f"cannot read {path}: {error}; put the images into it again") from error
        self._names = {name.rpartition("/")[2]: name for name in self._zip.namelist()}

    def __contains__(self, file: object) -> bool:
        return file in self._names

    def read(self, file: str) -> bytes:
        """Return a file's bytes."""
        try:
            return self._zip.read(self._names[file])
        except zipfile.BadZipFile as error:
            raise OSError(f"{file} is damaged in the archive: {error}") from error


class FiledImages:
    """Files below folders, by the names that a reader chose for them."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def __contains__(self, file: object) -> bool:
        return file in self._paths

    def read(self, file: str) -> bytes:
        """Return a file's bytes."""
        return self._paths[file].read_bytes()


class FolderImages:
    """Files below one folder, by their paths in it; each looked for alone, since there may be 400,000."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, file: object) -> bool:
        return (self._folder / str(file)).is_file()

    def read(self, file: str) -> bytes:
        """Return a file's bytes."""
        try:
            return (self._folder / file).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(file) from error


def below(folder: Path) -> dict[str, Path]:
    """Every image below a folder, by its name without suffix."""
    return {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES}


class UnpackedImages(FiledImages):
    """A tar archive, unpacked to a temporary folder while this lives: a tar.gz can't be read at random."""

    def __init__(self, path: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="nightread-images-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise UsageError(f"cannot unpack {path}: {error}; unpack it beside the reports yourself") from error
        super().__init__(below(folder))
