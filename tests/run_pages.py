"""A run page like a real one, for the tests that read it and for those that look at it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np

from pipeline.anatomy import Anatomy, invent
from pipeline.exports.run_page import (
    PageBalance,
    PageInput,
    PageLook,
    PageModel,
    PageReason,
    PageStudy,
    PageView,
    RunPage,
)
from pipeline.overlay import paint
from pipeline.phantom import radiograph
from pipeline.study import Finding, Pixels, Polarity

START = datetime(2026, 11, 23, 22, 4, 11, tzinfo=UTC)
SHA = "9f2c41d07be85a13c6fe20b1947d3a6858e0c2b7f1a94d3e60b5178c2ad4e9f3"
NORMAL = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. There is no pleural "
    "effusion or pneumothorax."
)
SAID = {
    "cardiomegaly": "The heart is enlarged.",
    "opacity": "There is a patchy opacity in the midzone.",
    "nodule": "A rounded nodular density is seen.",
    "pacemaker": "A dual-chamber pacemaker is in place.",
    "central venous line": "The tip of a central venous line projects over the superior vena cava.",
    "hyperinflation": "The lungs are hyperinflated with flattened diaphragms.",
    "pulmonary congestion": "The pulmonary vessels are congested.",
    "right pleural effusion": "There is a right pleural effusion.",
    "left pleural effusion": "There is a left pleural effusion.",
}


def sample_page(
    *, reports: int = 12, size: int = 64, clear_text: bool = False, total: int | None = None
) -> RunPage:
    """A page with every state; thumbnails of `size` pixels."""
    shown = reports + 6
    return RunPage(
        started_at=START,
        finished_at=START + timedelta(seconds=412),
        source="s3://radiology-archive/2026/11/",
        database="postgresql://reports.hospital.internal/nightread",
        model=PageModel(
            name="starter",
            version="1",
            weights_sha256=SHA,
            device="cpu",
            licence="CC BY-NC 4.0, weights; MIT, code",
            notice="This starter model was trained on a small public set and is for research only. "
            "Do not use it for patients.",
        ),
        code_version="0.1.0 (7a2f350)",
        balance=_balance(reports),
        throughput=_throughput(reports),
        studies=_studies(reports, size, clear_text=clear_text),
        studies_shown=shown,
        studies_total=total or shown,
    )


def _balance(reports: int) -> PageBalance:
    return PageBalance(
        objects={"converted": 2 * reports + 1, "skipped": 5, "failed": 2, "waiting": 1},
        studies={"reported": reports, "skipped": 3, "failed": 2, "waiting": 1, "working": 0},
        object_reasons=(
            PageReason(state="skipped", reason="not DICOM: an HTML page", count=1),
            PageReason(state="skipped", reason="CT is not for a chest-radiograph model", count=2),
            PageReason(state="skipped", reason="SR holds no image", count=2),
            PageReason(state="failed", reason="JPEG 2000 codestream truncated at byte 18,233", count=1),
            PageReason(state="failed", reason="claims 65,535 × 65,535 pixels but holds 1,024 bytes", count=1),
            PageReason(state="waiting", reason="the bucket did not answer; next attempt in 40 s", count=1),
        ),
        study_reasons=(
            PageReason(state="skipped", reason="no image for this model (SR only)", count=1),
            PageReason(state="skipped", reason="HIP is not for starter 1", count=1),
            PageReason(state="skipped", reason="starter 1 needs a frontal view", count=1),
            PageReason(state="failed", reason="every image failed", count=2),
            PageReason(state="waiting", reason="its newest image came 12 s ago", count=1),
        ),
    )


def _throughput(reports: int) -> list[tuple[float, int]]:
    """A run that converts first, stalls once and ends."""
    at, done = np.linspace(0, 412, 120), np.linspace(0, 1, 120)
    pace = np.interp(done, [0, 0.08, 0.5, 0.58, 1], [0, 0, 0.52, 0.54, 1])
    return [(float(t), int(n)) for t, n in zip(at, pace * (reports + 5), strict=True)]


def _studies(reports: int, size: int, *, clear_text: bool) -> Iterator[PageStudy]:
    plain = [
        PageStudy(
            study_id=41,
            state="failed",
            reason="JPEG 2000 codestream truncated at byte 18,233",
            inputs=(_input(90),),
        ),
        PageStudy(study_id=57, state="failed", reason="claims 65,535 × 65,535 pixels but holds 1,024 bytes"),
        PageStudy(study_id=12, state="skipped", reason="no image for this model (SR only)"),
        PageStudy(study_id=13, state="skipped", reason="HIP is not for starter 1"),
        PageStudy(
            study_id=29,
            state="skipped",
            reason="starter 1 needs a frontal view",
            views=_views(8, size, ("lateral",)),
        ),
        PageStudy(study_id=77, state="waiting", reason="its newest image came 12 s ago"),
    ]
    yield from plain
    for n in range(reports):
        yield _report(n, size, clear_text=clear_text)


def _report(n: int, size: int, *, clear_text: bool) -> PageStudy:
    anatomy = invent(n)
    views = ("frontal", "lateral") if n % 5 else ("frontal",)
    impression = " ".join(SAID[word] for word in anatomy.words()) or "No acute cardiopulmonary abnormality."
    return PageStudy(
        study_id=100 + n,
        state="reported",
        revision=2 if n == 1 else 1,
        study_instance_uid=f"2.25.3307181{n}" if clear_text else None,
        study_date=date(2026, 11, 22) if clear_text else None,
        description="Chest two views" if clear_text else None,
        views=_views(n, size, views),
        findings=NORMAL if anatomy.normal else f"{impression} The remaining lung is clear. No pneumothorax.",
        impression=impression,
        confidence=-0.31 - 0.02 * n,
        statements=_statements(anatomy),
        looks=_looks(n, anatomy, size, views),
        inputs=(_input(200 + 3 * n), _input(201 + 3 * n), _input(202 + 3 * n, used=False)),
        model="starter 1",
        created_at=START + timedelta(seconds=30 + 4 * n),
        supersedes=88 if n == 1 else None,
    )


def _statements(anatomy: Anatomy) -> tuple[Finding, ...]:
    present = [Finding(label=word, polarity=Polarity.PRESENT, sentence=SAID[word]) for word in anatomy.words()]
    absent = Finding(label="pneumothorax", polarity=Polarity.ABSENT, sentence="No pneumothorax.")
    unsure = Finding(label="atelectasis", polarity=Polarity.UNCERTAIN, sentence="Possible atelectasis.")
    return (*present, absent, *((unsure,) if len(present) > 1 else ()))


def _looks(n: int, anatomy: Anatomy, size: int, views: tuple[str, ...]) -> tuple[PageLook, ...]:
    """A spot somewhere for each finding, of half the reports."""
    found = [] if n % 2 else list(anatomy.words())
    y, x = np.mgrid[:size, :size] / size
    return tuple(
        PageLook(
            sentence=SAID[word],
            label=word.capitalize(),
            pictures={
                label: paint(
                    _thumbnail(n, label, size),
                    np.exp(-((x - 0.35 - 0.1 * at) ** 2 + (y - 0.6) ** 2) / 0.02).astype(np.float32),
                )
                for label in views
            },
        )
        for at, word in enumerate(found)
    )


def _views(seed: int, size: int, labels: tuple[str, ...]) -> tuple[PageView, ...]:
    return tuple(
        PageView(
            label=label,
            thumbnail=None if seed == 3 and label == "lateral" else _thumbnail(seed, label, size),
            notes=("no window: 0.5–99.5 percentile",) if seed == 2 else (),
        )
        for label in labels
    )


def _thumbnail(seed: int, label: str, size: int) -> Pixels:
    gray = radiograph(invent(seed), "frontal" if label == "frontal" else "lateral", rows=size, columns=size)
    return np.asarray(gray * 255, dtype=np.uint8)


def _input(number: int, *, used: bool = True) -> PageInput:
    sha = "".join(f"{(number * a + b) % 251:02x}" for a, b in pairwise(range(33)))
    reason = ("frontal" if number % 2 else "lateral") if used else "same image as another object"
    return PageInput(object_id=number, sha256=sha, projection="frontal", used=used, reason=reason)
