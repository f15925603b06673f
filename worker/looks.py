"""`nightread caption --overlay`: a PNG for each finding sentence and view of a draft, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from pipeline.errors import Unavailable, UsageError
from pipeline.manifest import Manifest
from pipeline.overlay import NOTICE, Overlay, file_name, standalone
from pipeline.study import Report, Study


class Explaining(Protocol):
    """A captioner that can tell where it looked."""

    manifest: Manifest

    def explain(self, study: Study, report: Report) -> list[Overlay]:
        """Overlays of a report, sentence by sentence; takes about as long as captioning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A picture that was written, and what it is of."""

    sentence: str
    label: str
    view: str
    method: str  # "concept" or "words", as in `pipeline.overlay.Overlay`
    file: str


def require_empty(folder: Path) -> None:
    """UsageError where pictures of another study could be mistaken for this one's."""
    try:
        held = next(folder.iterdir(), None) if folder.exists() else None
    except OSError as error:
        raise UsageError(f"{str(folder)!r} cannot be read: {error.strerror}; give another --overlay") from error
    if held:
        raise UsageError(f"{str(folder)!r} already holds {held.name!r}; give --overlay a new or empty folder")


def write_overlays(captioner: Explaining, study: Study, report: Report, folder: Path) -> list[Look]:
    """Write the pictures of a draft; the folder holds the patient's images from then on."""
    overlays = captioner.explain(study, report)
    sentences = list(dict.fromkeys(overlay.sentence for overlay in overlays))
    written = []
    for overlay in overlays:
        view = study.lateral if overlay.view == "lateral" else study.frontal
        assert view is not None
        path = folder / file_name(1 + sentences.index(overlay.sentence), overlay)
        picture, information = standalone(overlay, view, model=captioner.manifest.title)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(path, pnginfo=information)
        except OSError as error:
            raise Unavailable(
                f"{str(path)!r} cannot be written: {error.strerror}; give another --overlay"
            ) from error
        written.append(
            Look(
                sentence=overlay.sentence,
                label=overlay.label,
                view=overlay.view,
                method=overlay.method,
                file=str(path),
            )
        )
    return written


def print_looks(looks: Sequence[Look]) -> None:
    """The paths, for a person."""
    if not looks:
        click.echo("No overlay: the draft names no finding that anything in the image spoke for.")
        return
    click.echo(f"\n{NOTICE[:1].upper()}{NOTICE[1:]}:")
    for look in looks:
        click.echo(f"{look.file}  {look.label}")
