"""The run page: what a run did, as one HTML file that needs nothing else, for a person and for paper.

The caller passes studies in the order failed, skipped, waiting, reported; they are written as they come, so that
memory does not grow with their number. What the page shows of a patient is what the caller passes: leave the
identifying fields None unless the site switched clear text on. Every text is escaped, and the page's own policy
forbids it to load or run anything else. Knows no ledger.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipeline.exports import run_page_format as shown
from pipeline.exports import run_page_plot
from pipeline.overlay import NOTICE, Picture
from pipeline.study import Finding, Pixels

DRAFT_NOTICE = shown.DRAFT_NOTICE
ORDER = ("failed", "skipped", "waiting", "reported")
_SECTION_OF = {state: state for state in ORDER} | {"working": "waiting"}
_LARGEST_THUMBNAIL = 320  # pixels
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class PageView:
    """One image that a report was made from."""

    label: str  # "frontal"
    thumbnail: Pixels | None  # [rows, columns], any size; None where the view is no longer kept
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PageLook:
    """Where the model looked for a finding."""

    sentence: str  # which names it; several, where they name the same
    label: str  # the findings it names
    pictures: Mapping[str, Picture]  # view -> the view with the heat over it


@dataclass(frozen=True, kw_only=True, slots=True)
class PageInput:
    """One stored object of the study."""

    object_id: int
    sha256: str  # "" where its bytes were not read to the end
    projection: str
    used: bool
    reason: str  # its role when used, else why not


@dataclass(frozen=True, kw_only=True, slots=True)
class PageStudy:
    """One study and what became of it. The first four are internal; the next three identify a patient's study."""

    study_id: int
    state: str  # failed, skipped, waiting, working or reported
    reason: str = ""
    revision: int = 1  # the how-manyth set of objects this is
    study_instance_uid: str | None = None  # this and the next two: None unless clear text is on
    study_date: date | None = None
    description: str | None = None
    views: tuple[PageView, ...] = ()
    findings: str = ""
    impression: str = ""
    confidence: float | None = None  # mean log-probability per token
    statements: tuple[Finding, ...] = ()
    looks: tuple[PageLook, ...] = ()
    inputs: tuple[PageInput, ...] = ()
    model: str = ""  # name and version
    created_at: datetime | None = None
    supersedes: int | None = None  # id of the earlier report that this one replaces


@dataclass(frozen=True, kw_only=True, slots=True)
class PageReason:
    """How many ended in one state for one reason."""

    state: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PageBalance:
    """Everything that was seen, by what became of it; every state is named, zeros included."""

    objects: Mapping[str, int]
    studies: Mapping[str, int]
    object_reasons: tuple[PageReason, ...] = ()
    study_reasons: tuple[PageReason, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PageModel:
    """The model that wrote the reports."""

    name: str
    version: str
    weights_sha256: str
    device: str  # "cpu" or the GPU's name
    licence: str
    notice: str = ""  # e.g. that it is for research only; shown at the top


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """A run, to be shown."""

    started_at: datetime  # aware, as all times here
    finished_at: datetime
    source: str  # folder or bucket
    database: str  # without credentials
    model: PageModel
    code_version: str
    balance: PageBalance
    throughput: Sequence[tuple[float, int]] = ()  # (seconds since the start, studies done), growing
    studies: Iterable[PageStudy] = field(default=())  # in the order of ORDER
    studies_shown: int  # how many `studies` yields
    studies_total: int  # how many the database holds


def render(page: RunPage, out: TextIO | Path) -> None:
    """Write the page; a path is replaced whole or not at all. Raises ValueError for studies out of order."""
    chunks = _template().generate(_facts(page))
    if isinstance(out, Path):
        _replace(out, chunks)
    else:
        out.writelines(chunks)


def _facts(page: RunPage) -> dict[str, object]:
    script = (_FOLDER / "run_page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "page": page,
        "plot": run_page_plot.plot(page.throughput),
        "drawing": run_page_plot,
        "ledgers": (
            shown.ledger("Objects", "objects seen", page.balance.objects, page.balance.object_reasons),
            shown.ledger("Studies", "studies known", page.balance.studies, page.balance.study_reasons),
        ),
        "sections": _sections(page.studies),
        "draft_notice": DRAFT_NOTICE,
        "look_notice": NOTICE,
        "script": Markup(script),  # noqa: S704 - our own file, and the policy names its digest
        "script_digest": digest,
        "style": Markup((_FOLDER / "run_page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
    }


def _sections(studies: Iterable[PageStudy]) -> Iterator[tuple[str, Iterator[PageStudy]]]:
    """Studies by section, as they come; a section must be read before the next is asked for."""
    last = -1
    for section, members in groupby(studies, key=lambda study: _SECTION_OF[study.state]):
        if (place := ORDER.index(section)) < last:
            raise ValueError(f"studies must come in the order {', '.join(ORDER)}: {section} came late")
        last = place
        yield section, members


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_uri": _data_uri,
        "when": shown.when,
        "day": shown.day,
        "count": shown.count,
        "plural": shown.plural,
        "decimal": shown.decimal,
        "spell": run_page_plot.spell,
    }
    return environment.get_template("run_page.html")


def _data_uri(pixels: Pixels | Picture) -> str:
    """A small JPEG in the page itself."""
    shrink = _LARGEST_THUMBNAIL / max(pixels.shape[:2])
    if shrink < 1:
        size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if pixels.ndim > 2:  # noqa: PLR2004 - colours, which OpenCV wants in its own order
        pixels = pixels[..., ::-1]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, 84])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _replace(path: Path, chunks: Iterable[str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
