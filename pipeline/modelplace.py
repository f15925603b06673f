"""Where a site's models are kept: checkpoints in a folder or S3 bucket of our own, by name and version.

A version's manifest is written last, so that whoever finds it finds the rest; what is fetched is held to the
SHA-256 that the manifest names. A version's weights and tokenizer never change; its card and figures may. Must lie
outside the watched source. Knows no database: which version is champion is told there.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from pipeline.errors import CheckpointError, Unavailable, UsageError
from pipeline.manifest import CARD, FILES, MANIFEST, Manifest, file_sha256, load_manifest

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a path or key, on every system


class ModelPlace(Protocol):
    """Files by name. Calls may block on a disk or a network, and raise Unavailable when it does not serve us."""

    local: Path | None  # the folder, where the files may be read in place

    def put(self, file: Path, name: str) -> None:
        """Keep a file, whole or not at all."""

    def get(self, name: str, target: Path) -> bool:
        """Write the file to `target`; False when there is none of that name."""


def open_models(place: str) -> ModelPlace:
    """The models at `s3://bucket/prefix`, or in the folder of that path; UsageError when it cannot hold any."""
    if "://" not in place:
        return FolderModels(Path(place))
    from pipeline.s3_modelplace import open_s3_models  # noqa: PLC0415 (boto3 takes 0.3 s to import)

    return open_s3_models(place)


class FolderModels:
    """Models below a folder, which is made when the first is kept."""

    def __init__(self, path: Path) -> None:
        self.local: Path | None = path
        self._root = path

    def put(self, file: Path, name: str) -> None:
        """Keep a file; Unavailable when the disk does not take it."""
        target = self._root / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            shutil.copyfile(file, partial)
            partial.replace(target)
        except OSError as error:
            raise Unavailable(
                f"the models' place {str(self._root)!r} takes no more ({error.strerror}): "
                "make room, or set NIGHTREAD_MODELS to another"
            ) from error

    def get(self, name: str, target: Path) -> bool:
        """Copy a file out."""
        try:
            shutil.copyfile(self._root / name, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unavailable(
                f"the models' place {str(self._root)!r} cannot be read ({error.strerror}): check NIGHTREAD_MODELS"
            ) from error
        return True


def folder_of(manifest: Manifest) -> str:
    """Where in a place a version lies; UsageError where its name would be no name of a folder or key."""
    for what, part in (("name", manifest.name), ("version", manifest.version)):
        if not _PART.fullmatch(part):
            raise UsageError(
                f"the {what} {part!r} of the checkpoint cannot name a folder; use letters, digits, '.', '_', '-'"
            )
    return f"{manifest.name}/{manifest.version}"


def keep(place: ModelPlace, folder: Path) -> Manifest:
    """Put a checkpoint into a place, unless it is there already.

    Raises:
        CheckpointError: Its files are not those that its manifest names, or the version is there with other ones.
    """
    manifest = load_manifest(folder)
    within = folder_of(manifest)
    require_whole(folder, manifest)
    known = _known(place, within)
    if known is not None:
        _require_same(known, manifest)
    for name in FILES:
        if known is None or known.sha256[name] != manifest.sha256[name]:
            place.put(folder / name, f"{within}/{name}")
    if known != manifest:
        place.put(folder / MANIFEST, f"{within}/{MANIFEST}")  # last: now it is whole
    return manifest


def fetch(place: ModelPlace, name: str, version: str, *, cache: Path) -> Path | None:
    """A version's folder on this machine, fetched if it must be; None when the place does not have it."""
    if not (_PART.fullmatch(name) and _PART.fullmatch(version)):
        return None
    within = f"{name}/{version}"
    if place.local is not None:
        folder = place.local / within
        return folder if (folder / MANIFEST).is_file() else None
    if _is_whole(cache / within):
        return cache / within
    return _download(place, within, cache / within)


def _is_whole(folder: Path) -> bool:
    """Whether an earlier fetch is there undamaged; what is not is removed, to be fetched again."""
    if not folder.exists():
        return False
    try:
        require_whole(folder, load_manifest(folder))
    except CheckpointError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def require_whole(folder: Path, manifest: Manifest) -> None:
    """CheckpointError where a file is not the one that the manifest names."""
    for name in FILES:
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise CheckpointError(f"{folder / name} cannot be read: {error.strerror}; copy it again") from error
        if found != manifest.sha256[name]:
            raise CheckpointError(
                f"{folder / name} has sha256 {found[:12]}…, its manifest says {manifest.sha256[name][:12]}…; "
                "copy the checkpoint again from where it was made"
            )


def _known(place: ModelPlace, within: str) -> Manifest | None:
    """The manifest that the place has of a version."""
    with tempfile.TemporaryDirectory() as folder:
        there = place.get(f"{within}/{MANIFEST}", Path(folder) / MANIFEST)
        return load_manifest(Path(folder)) if there else None


def _require_same(known: Manifest, manifest: Manifest) -> None:
    for name in FILES:
        if name != CARD and known.sha256[name] != manifest.sha256[name]:
            raise CheckpointError(
                f"{manifest.title} is published with another {name}; give changed weights a new version"
            )


def _download(place: ModelPlace, within: str, target: Path) -> Path | None:
    """Into a folder beside the target, which is renamed once all is there and checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        if not place.get(f"{within}/{MANIFEST}", folder / MANIFEST):
            return None
        manifest = load_manifest(folder)
        for name in FILES:
            if not place.get(f"{within}/{name}", folder / name):
                raise CheckpointError(f"{manifest.title} lacks {name} where it is kept; publish it again")
        require_whole(folder, manifest)
        try:
            folder.replace(target)
        except OSError:
            if not (target / MANIFEST).is_file():  # else another process was faster
                raise
    return target
