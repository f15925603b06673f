"""What is judged: drafts of a split's studies, as a model writes them through the `Captioner` that a run uses too.

Views are made by the manifest's preprocessing. A study that the model does not accept counts as an empty report.
Assumes a data set in the form of `training.datasets`. Knows no scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.captioner import Captioner
from pipeline.study import Background, Outcome, Report, Reported
from training.datasets import ABNORMAL, Example, ImageArchive

CHUNK = 64  # studies whose pixels are in memory at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A report to be judged, wherever it came from."""

    findings: str
    impression: str
    abnormal: float = 0.5  # probability that the study is not normal
    report: Report | None = None  # all that a model told; None where no model wrote it


EMPTY = Draft(findings="", impression="")


def model_drafts(
    captioner: Captioner, examples: Sequence[Example], folder: Path, *, form: str = "", background: bool = True
) -> tuple[list[Draft], int]:
    """What the model writes, told of each study's background or not, and how many studies it did not accept."""
    archive = ImageArchive(folder, captioner.manifest.preprocessing, form)
    outcomes: list[Outcome] = []
    for start in range(0, len(examples), CHUNK):
        studies = [archive.study(example, key) for key, example in enumerate(examples[start : start + CHUNK])]
        if not background:
            studies = [replace(study, background=Background()) for study in studies]
        outcomes += captioner.caption(studies)
    drafts = [_draft(item.report) if isinstance(item, Reported) else EMPTY for item in outcomes]
    return drafts, sum(not isinstance(item, Reported) for item in outcomes)


def _draft(report: Report) -> Draft:
    return Draft(
        findings=report.findings,
        impression=report.impression,
        abnormal=report.concepts.get(ABNORMAL, 0.5),
        report=report,
    )
