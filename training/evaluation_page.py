"""The evaluation page: figures, labels and cases as one HTML file that needs nothing else, for screen and paper.

It holds images and reports of the data set it was made from: it must not leave the place where these may lie, and
is never committed. The page's own policy forbids it to load or run anything. Looks like the run page, whose style
it takes.
"""

import base64
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.exports import run_page_format as shown
from pipeline.overlay import NOTICE
from pipeline.study import Report, Study
from training.assessment import Assessment
from training.evaluation_cases import Case, Mark, choose_cases, worst_mark
from training.evaluation_table import figure, notes_of

DRAFT_NOTICE = shown.DRAFT_NOTICE
SYMBOLS = {Mark.AGREED: "✓", Mark.MISSED: "−", Mark.INVENTED: "+"}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Findings, R2Gen protocol": ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
    "Impression, the seed paper's protocol": tuple(f"seed BLEU-{order}" for order in range(1, 5)),
    "Clinical": (
        *("AUROC abnormal", "macro F1 problems", "micro F1 problems", "macro F1 extracted"),
        "micro F1 extracted",
    ),
    "Length and diversity": (
        *("words", "words of reference", "distinct texts", "distinct impressions", "distinct-1", "distinct-2"),
        *("normal texts", "normal references"),
    ),
}
_FOLDER = Path(__file__).parent
_STYLE = Path(shown.__file__).parent / "run_page.css"


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlay:
    """Where the model looked while it wrote a sentence."""

    sentence: str
    view: str  # "frontal"
    pixels: NDArray[np.uint8]  # [rows, columns] or [rows, columns, 3], drawn over the view


class Explainer(Protocol):
    """Tells where a model looked; called once for each case shown, may take seconds."""

    def __call__(self, study: Study, report: Report) -> Sequence[Overlay]:
        """The overlays of a report's sentences, in their order."""


def write_page(assessment: Assessment, path: Path, explainer: Explainer | None = None) -> None:
    """Write the page, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(render_page(assessment, explainer), encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def render_page(assessment: Assessment, explainer: Explainer | None = None) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "data_uri": _data_uri, "worst": worst_mark}
    own, *others = assessment.comparison.evaluations
    return environment.get_template("evaluation_page.html").render(
        style=Markup(_STYLE.read_text(encoding="utf-8")),  # noqa: S704 - our own file
        told=assessment,
        own=own,
        others=others,
        groups=_groups(own.summary),
        sections=_sections(assessment, explainer),
        notes=notes_of(own),
        symbols=SYMBOLS,
        draft_notice=DRAFT_NOTICE,
        look_notice=NOTICE,
    )


def _groups(summary: Mapping[str, float]) -> dict[str, list[str]]:
    """The figures that were measured, in groups; what belongs to none comes last."""
    groups = {title: [name for name in names if name in summary] for title, names in GROUPS.items()}
    placed = {name for names in groups.values() for name in names} | {"studies"}
    return groups | {"Findings, whole references": [name for name in summary if name not in placed]}


def _sections(assessment: Assessment, explainer: Explainer | None) -> dict[str, list[dict[str, Any]]]:
    chosen = choose_cases(assessment.comparison)
    return {kind: [_shown(assessment, case, explainer) for case in cases] for kind, cases in chosen.items()}


def _shown(assessment: Assessment, case: Case, explainer: Explainer | None) -> dict[str, Any]:
    study = assessment.archive.study(case.example, 0)
    views = {"frontal": study.frontal, "lateral": study.lateral}
    explained: Iterable[Overlay] = ()
    if explainer and case.draft.report:
        explained = explainer(study, case.draft.report)
    return {
        "case": case,
        "views": {name: pixels for name, pixels in views.items() if pixels is not None},
        "overlays": list(explained),
    }


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    """A small JPEG in the page itself."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=84)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
