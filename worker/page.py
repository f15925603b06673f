"""From the ledger to the run page: which studies are shown, and what of them may be shown.

Without clear text a page holds internal ids, views and texts; no UID, date, description or object key.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from db.entries import StudyEntry
from db.records import Reason
from pipeline.errors import UsageError
from pipeline.exports.run_page import (
    PageBalance,
    PageInput,
    PageModel,
    PageReason,
    PageStudy,
    PageView,
    RunPage,
    render,
)
from pipeline.study import Finding, Polarity
from pipeline.viewcache import ViewStore, open_view_cache
from worker.bootstrap import Site
from worker.code_version import code_version
from worker.local import RunResult
from worker.looks import Explaining
from worker.page_looks import looks_of

SHOWN = {"failed": 100, "skipped": 50, "waiting": 25, "reported": 200}  # in the page's order; the rest is in SQL


def write_page(
    site: Site, result: RunResult, *, began: datetime, target: Path, explaining: Explaining | None = None
) -> None:
    """Write the page of a run that ended; `explaining` adds where the model looked, study by study.

    Raises:
        UsageError: the file cannot be written.
    """
    studies = result.balance.studies
    totals = {**studies, "waiting": studies["waiting"] + studies["working"]}
    page = RunPage(
        started_at=began,
        finished_at=datetime.now(UTC),
        source=site.source,
        database=site.engine.url.render_as_string(hide_password=True),
        model=_model(site),
        code_version=code_version(),
        balance=PageBalance(
            objects=result.balance.objects,
            studies=studies,
            object_reasons=_reasons(result.balance.object_reasons),
            study_reasons=_reasons(result.balance.study_reasons),
        ),
        throughput=result.throughput,
        studies=_studies(site, explaining),
        studies_shown=sum(min(most, totals[state]) for state, most in SHOWN.items()),
        studies_total=sum(studies.values()),
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        render(page, target)
    except OSError as error:
        raise UsageError(
            f"the run page {str(target)!r} cannot be written: {error.strerror}; give --page"
        ) from error


def _model(site: Site) -> PageModel:
    manifest = site.manifest
    return PageModel(
        name=manifest.name,
        version=manifest.version,
        weights_sha256=manifest.weights_sha256,
        device=site.settings.device,
        licence=manifest.licence,
        notice=manifest.licence,
    )


def _reasons(reasons: tuple[Reason, ...]) -> tuple[PageReason, ...]:
    return tuple(PageReason(state=item.state, reason=item.reason, count=item.count) for item in reasons)


def _studies(site: Site, explaining: Explaining | None) -> Iterator[PageStudy]:
    cache = open_view_cache(site.views)
    for section, most in SHOWN.items():
        for entry in site.ledger.study_entries(section=section, limit=most):
            study = _study(site, cache, entry)
            yield replace(study, looks=looks_of(explaining, entry, study)) if explaining else study


def _study(site: Site, cache: ViewStore, entry: StudyEntry) -> PageStudy:
    clear = site.settings.clear_text
    report = entry.report
    return PageStudy(
        study_id=entry.study_id,
        state=entry.state,
        reason=entry.reason,
        revision=entry.revision,
        study_instance_uid=entry.study_instance_uid if clear else None,
        study_date=entry.study_date if clear else None,
        description=entry.study_description if clear else None,
        views=_views(site, cache, entry),
        findings=report.findings if report else "",
        impression=report.impression if report else "",
        confidence=report.confidence if report else None,
        statements=tuple(
            Finding(label=item.label, polarity=Polarity(item.polarity), sentence=item.sentence)
            for item in (report.statements if report else ())
        ),
        inputs=_inputs(entry),
        model=f"{report.model_name} {report.model_version}" if report else "",
        created_at=report.created_at if report else None,
        supersedes=report.supersedes_id if report else None,
    )


def _views(site: Site, cache: ViewStore, entry: StudyEntry) -> tuple[PageView, ...]:
    wanted = site.manifest.preprocessing
    return tuple(
        PageView(label=item.reason, thumbnail=cache.get(item.sha256, wanted), notes=item.notes)
        for item in entry.inputs
        if item.sha256 and item.used
    )


def _inputs(entry: StudyEntry) -> tuple[PageInput, ...]:
    return tuple(
        PageInput(
            object_id=item.object_id,
            sha256=item.sha256 or "",
            projection=item.projection,
            used=item.used,
            reason=item.reason,
        )
        for item in entry.inputs
    )
