"""Verified and corrected reports with their cached views -> a folder that `nightread-train` learns from.

The folder has the form of the public set (`studies.json` beside `images.zip`). It holds patients' images and the
texts that people verified, and no identifier but the ledger's own numbers; each patient lies on one side of the
split, and stays there when more is exported later. Problems are our own reading of the text, and the records say
so. A study whose view is no longer in the cache, or only in another model's size, is left out and counted.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import click
from sqlalchemy import Engine

from db.verified import VerifiedReport, verified_reports
from pipeline.errors import UsageError
from pipeline.problems import problems_in
from pipeline.splits import SITE_SHARES, split_of
from pipeline.study import Preprocessing, Projection
from pipeline.viewcache import ViewStore, encoded, open_view_cache, require_outside
from worker.bootstrap import Site
from worker.settings import Settings
from worker.terminal import print_json

STUDIES, IMAGES = "studies.json", "images.zip"
ROLES = (Projection.FRONTAL.value, Projection.LATERAL.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What an export came to."""

    studies: dict[str, int]  # by split
    images: int
    without_views: int  # verified studies that were left out
    without_text: int


def export_reports(settings: Settings, folder: Path, *, as_json: bool) -> None:
    """Write the folder and tell what is in it."""
    site = Site(settings=settings)
    site.require_ledger()
    if settings.source:
        require_outside(folder, settings.source, what="the folder")
    done = write_export(site.engine, open_view_cache(site.views), site.manifest.preprocessing, folder)
    if as_json:
        print_json(asdict(done))
        return
    parts = ", ".join(f"{count:,} {split}" for split, count in sorted(done.studies.items()))
    click.echo(f"{sum(done.studies.values()):,} studies ({parts}), {done.images:,} images in {folder}")
    if done.without_views:
        click.echo(f"{done.without_views:,} left out: their views are not in the cache in this model's size.")
    if done.without_text:
        click.echo(f"{done.without_text:,} left out: neither findings nor impression.")
    click.echo("These are patients' images and texts: keep the folder as you keep the archive.")


def write_export(engine: Engine, views: ViewStore, preprocessing: Preprocessing, folder: Path) -> Exported:
    """Write `images.zip`, then `studies.json`: when that is there, the folder is whole."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    images, studies = (folder / f"{name}.partial" for name in (IMAGES, STUDIES))
    left_out: Counter[str] = Counter()
    records: list[dict[str, Any]] = []
    with ZipFile(images, "w", ZIP_STORED) as archive:
        for report, seen in _complete(engine, views, preprocessing, left_out):
            for name, content in seen.values():
                archive.writestr(name, content)
            records.append(_record(report, {role: name for role, (name, _) in seen.items()}))
    if not records:
        images.unlink()
        raise UsageError(
            "there is nothing to export: no report that a person verified or corrected has text and cached views "
            f"({left_out['views']} without views, {left_out['text']} without text)"
        )
    studies.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / STUDIES).unlink(missing_ok=True)
    images.replace(folder / IMAGES)
    studies.replace(folder / STUDIES)
    return Exported(
        studies=dict(Counter(record["split"] for record in records)),
        images=sum(len(record["images"]) for record in records),
        without_views=left_out["views"],
        without_text=left_out["text"],
    )


def _complete(
    engine: Engine, views: ViewStore, preprocessing: Preprocessing, left_out: Counter[str]
) -> Iterator[tuple[VerifiedReport, dict[str, tuple[str, bytes]]]]:
    """The reports that have text and views, with their views; what else there is, is counted."""
    for report in verified_reports(engine):
        seen = dict(_views(report, views, preprocessing))
        has_text = bool(report.findings.strip() or report.impression.strip())
        if seen and has_text:
            yield report, seen
        else:
            left_out["views" if has_text else "text"] += 1


def _views(
    report: VerifiedReport, views: ViewStore, preprocessing: Preprocessing
) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """The report's views by role, each with a name and its file; none at all when one is missing."""
    found = []
    for reason, sha256 in report.inputs:
        role = next((role for role in ROLES if reason.startswith(role)), None)
        pixels = views.get(sha256, preprocessing) if role else None
        if role is None or pixels is None:
            return
        found.append((role, (f"{report.study_id}-{role}.png", encoded(pixels))))
    yield from found


def _record(report: VerifiedReport, files: dict[str, str]) -> dict[str, Any]:
    read = problems_in(report.findings, report.impression)
    return {
        "study": str(report.study_id),
        "report": report.report_id,
        "patient": str(report.patient),
        "split": split_of(report.patient_id or f"study {report.study_id}", SITE_SHARES),
        "images": [{"file": name, "view": role} for role, name in files.items()],
        "findings": report.findings,
        "impression": report.impression,
        "indication": report.background.indication,
        "age": report.background.age,
        "sex": report.background.sex,
        "problems": sorted(read.problems),
        "mesh": sorted(read.mesh),
        "coded_by": "text",
    }
