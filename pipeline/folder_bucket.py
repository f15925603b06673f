"""A folder as a bucket: each file below it is an object, its key the path from the folder with forward slashes.

An object's etag is its modification time and size: a replaced file is another object, and a file that changes
while it is read is noticed. Links are followed, but not in circles. What cannot be read is listed all the same,
and says why when it is opened: nothing is passed over in silence. Assumes POSIX paths. Memory grows with the
largest single folder's number of names, not with the archive.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.errors import NotForUs, ObjectChanged, Unavailable, UsageError
from pipeline.study import ObjectRef

# File names are bytes and need not be UTF-8; SQL text must be. A byte that is none becomes a private character,
# and so do the three bytes of a private character that a name really has: no two names share a key.
ESCAPE_BASE = 0xEF00
_ESCAPED = range(ESCAPE_BASE + 0x80, ESCAPE_BASE + 0x100)


@dataclass(frozen=True, slots=True)
class _Span:
    """The keys that a listing is asked for. Bytes are compared, as the listing sorts them."""

    after: bytes
    within: bytes

    def holds(self, key: str) -> bool:
        """Whether this key is asked for."""
        name = key.encode()
        return name > self.after and name.startswith(self.within)

    def enters(self, folder: str) -> bool:
        """Whether a key below this folder, which ends with a slash, can be asked for."""
        name = folder.encode()
        return (name > self.after or self.after.startswith(name)) and (
            name.startswith(self.within) or self.within.startswith(name)
        )


class FolderBucket:
    """The files below a folder."""

    prefix = ""

    def __init__(self, path: Path) -> None:
        self._root = _folder(path)
        self._known = self._identity(self._root)
        self.name = key_of(str(self._root))

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        """Files in key order."""
        return self._walk("", (self._known,), _Span(after.encode(), within.encode()))

    def stat(self, key: str) -> ObjectRef | None:
        """The file as it is now."""
        if not self._is_there():
            raise Unavailable("the source folder is gone or is another one now: mount it again")
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            return None  # no listing gives such a key
        path = self._root / path_of(key)
        try:
            path.lstat()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise _unusable(error) from error
        return None if path.is_dir() else next(_listed(path, key), None)

    def _is_there(self) -> bool:
        """Whether the root is still the folder it was; an unmounted one leaves an empty folder behind."""
        try:
            return self._identity(self._root) == self._known
        except OSError:
            return False

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        """The file's bytes, if it is still the listed one."""
        path = self._root / path_of(ref.key)
        try:
            # A pipe without a writer would block for ever; O_NONBLOCK means nothing to a regular file.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            if path.is_symlink():
                raise NotForUs("a link to a file that does not exist") from error
            if not self._is_there():
                raise Unavailable("the source folder is gone or is another one now: mount it again") from error
            raise ObjectChanged("the file is gone since it was listed") from error
        except PermissionError as error:
            raise Unavailable("no permission to read the file: make it readable for this user") from error
        except OSError as error:
            raise _unusable(error) from error
        return cast(AbstractContextManager[BinaryIO], _FileStream(descriptor, ref))

    def _walk(self, prefix: str, above: tuple[tuple[int, int], ...], span: _Span) -> Iterator[ObjectRef]:
        """`above` identifies the folders we are in: a link back to one of them is not entered."""
        folder = self._root / path_of(prefix)
        try:
            with os.scandir(folder) as entries:
                names = sorted(map(_sort_key, entries))
        except OSError as error:
            if not prefix:
                raise Unavailable(f"the folder {self.name!r} cannot be listed ({error.strerror})") from error
            yield from _unreadable(prefix, span)
            return
        for name in names:
            key = prefix + name.decode()
            path = self._root / path_of(key)
            if not name.endswith(b"/"):
                if span.holds(key):
                    yield from _listed(path, key)
            elif not span.enters(key):
                continue
            elif (identity := self._identity(path)) in above:
                yield from _unreadable(key, span)
            else:
                yield from self._walk(key, (*above, identity), span)

    @staticmethod
    def _identity(path: Path) -> tuple[int, int]:
        try:
            status = path.stat()
        except OSError:
            return 0, 0
        return status.st_dev, status.st_ino


def key_of(name: str) -> str:
    """A file name, as Python decodes it, as a key that SQL can store."""
    if name.isascii():
        return name
    return "".join(
        chr(ESCAPE_BASE + (ord(character) & 0xFF))
        if "\udc80" <= character <= "\udcff"
        else "".join(chr(ESCAPE_BASE + byte) for byte in character.encode())
        if ord(character) in _ESCAPED
        else character
        for character in name
    )


def path_of(key: str) -> str:
    """The file name of a key; the reverse of `key_of`."""
    if key.isascii():
        return key
    return os.fsdecode(
        b"".join(
            bytes([ord(character) - ESCAPE_BASE]) if ord(character) in _ESCAPED else character.encode()
            for character in key
        )
    )


def _folder(path: Path) -> Path:
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_dir():
            raise UsageError(f"the source {str(path)!r} is a file: give the folder that holds it")
        with os.scandir(resolved):
            return resolved
    except FileNotFoundError as error:
        raise UsageError(f"the source folder {str(path)!r} does not exist: check the path") from error
    except PermissionError as error:
        raise UsageError(f"no permission to read the source folder {str(path)!r}: make it readable") from error
    except (OSError, RuntimeError) as error:  # pathlib's word for links in a circle, before Python 3.13
        raise UsageError(f"the source folder {str(path)!r} cannot be used: {error}") from error


def _sort_key(entry: "os.DirEntry[str]") -> bytes:
    """The entry's part of a key, as bytes sort it: a folder's keys all go on with a slash."""
    try:
        is_folder = entry.is_dir()
    except OSError:
        is_folder = False
    return key_of(entry.name).encode() + (b"/" if is_folder else b"")


def _listed(path: Path, key: str) -> Iterator[ObjectRef]:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return  # deleted between the listing and now: there is no such object
        status = path.lstat()
    except OSError:
        yield _unread(key)
        return
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    yield ObjectRef(
        key=key,
        etag=_etag(status),
        size=size,
        last_modified=_moment(status.st_mtime),
    )


def _unreadable(folder: str, span: _Span) -> Iterator[ObjectRef]:
    if span.holds(folder):
        yield _unread(folder)


def _unread(key: str) -> ObjectRef:
    return ObjectRef(key=key, etag="unreadable", size=0, last_modified=_moment(0))


def _moment(seconds: float) -> datetime:
    """The time, or 1970 where a broken clock wrote a year that a calendar cannot hold."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _unusable(error: OSError) -> Exception:
    if error.errno in _NO_FILE:
        return NotForUs(f"no file: {error.strerror}")
    return Unavailable(f"the file cannot be read ({error.strerror}): check the disk")


_ABSENT = frozenset({2, 20, 36})  # ENOENT, ENOTDIR, ENAMETOOLONG
_NO_FILE = frozenset({6, 40})  # ENXIO: a socket; ELOOP: links in a circle


class _FileStream(io.RawIOBase):
    """A file that must stay what the listing saw, from the first byte to the last."""

    def __init__(self, descriptor: int, ref: ObjectRef) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._etag = ref.etag
        try:
            self._verify()
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        if size is None or size < 0:
            return self.readall()
        with _reading():
            chunk = os.read(self._descriptor, size)
        if not chunk and size:
            self._verify()
        return chunk

    def readinto(self, buffer: "memoryview[int]", /) -> int:  # type: ignore[override]
        """Fill `buffer` as far as one read goes."""
        with _reading():
            count = os.readv(self._descriptor, [buffer])
        if not count and len(buffer):
            self._verify()
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def _verify(self) -> None:
        status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise NotForUs("no file but a folder that cannot be entered: no permission, or a link back to itself")
        if not stat.S_ISREG(status.st_mode):
            raise NotForUs("no file but a pipe or a device")
        if _etag(status) != self._etag:
            raise ObjectChanged("the file changed since it was listed")


class _reading:  # noqa: N801 (a with-block reads as one)
    """What the disk reports in the middle of a file is not the file's fault."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise Unavailable(f"reading the file failed ({error.strerror}): check the disk") from error
