"""Studies one after the other for a page: failures first, three queries for each batch, however large the ledger.

Works inside the caller's transactions, one for each batch; a study that changes its state in between may be
seen twice or not at all. Knows no page.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.orm import aliased

from db.entries import EntryInput, EntryReport, StudyEntry
from db.records import FindingFact
from db.report_tables import Finding, ModelVersion, Report, ReportInput
from db.tables import Instance, Object, Study, StudyRevision

SECTIONS: dict[str, tuple[str | None, ...]] = {
    "failed": ("failed",),
    "skipped": ("skipped",),
    "waiting": ("waiting", None),  # None: studies without a revision
    "reported": ("reported",),
}

_SAME_STUDY = aliased(StudyRevision)
_REVISION = select(func.count()).where(_SAME_STUDY.study_id == Study.id).scalar_subquery()


def batch(connection: Connection, state: str | None, *, before: int, limit: int) -> list[StudyEntry]:
    """Up to `limit` studies in this state with an id below `before`, the newest first."""
    rows = connection.execute(
        select(
            *(Study.id, Study.study_instance_uid, Study.study_date, Study.modality, Study.study_description),
            *(StudyRevision.id.label("newest_id"), StudyRevision.state, StudyRevision.reason),
            *(StudyRevision.complete_because, Report.id.label("report_id"), Report.revision_id, Report.findings),
            *(Report.impression, Report.confidence, Report.status, Report.created_at),
            *(ModelVersion.name, ModelVersion.version, ModelVersion.weights_sha256),
            *(Report.supersedes_id, _REVISION.label("revision")),
        )
        .select_from(Study)
        .outerjoin(StudyRevision, and_(StudyRevision.study_id == Study.id, StudyRevision.superseded_at.is_(None)))
        .outerjoin(Report, and_(Report.study_id == Study.id, Report.status != "superseded"))
        .outerjoin(ModelVersion, ModelVersion.id == Report.model_version_id)
        .where(Study.id < before, StudyRevision.state == state if state else StudyRevision.id.is_(None))
        .order_by(Study.id.desc())
        .limit(limit)
    ).all()
    inputs = _inputs(connection, {row.id: row.report_id for row in rows})
    statements = _statements(connection, [row.report_id for row in rows if row.report_id is not None])
    return [_entry(row, inputs[row.id], statements[row.report_id]) for row in rows]


def _statements(connection: Connection, reports: Sequence[int]) -> dict[int | None, list[FindingFact]]:
    found: dict[int | None, list[FindingFact]] = defaultdict(list)
    if reports:
        for row in connection.execute(
            select(Finding.report_id, Finding.label, Finding.polarity, Finding.sentence)
            .where(Finding.report_id.in_(reports))
            .order_by(Finding.id)
        ):
            found[row.report_id].append(FindingFact(label=row.label, polarity=row.polarity, sentence=row.sentence))
    return found


def _inputs(connection: Connection, reports: Mapping[int, int | None]) -> dict[int, list[EntryInput]]:
    found: dict[int, list[EntryInput]] = defaultdict(list)
    if not reports:
        return found
    written = [report_id for report_id in reports.values() if report_id is not None]
    rows = connection.execute(
        select(
            *(Instance.study_id, Instance.id, Instance.object_id, Instance.sha256, Instance.projection),
            *(Instance.notes, Object.bucket, Object.key, Object.state, Object.reason),
            *(ReportInput.used, ReportInput.reason.label("role")),
        )
        .join(Object, Object.id == Instance.object_id)
        .outerjoin(ReportInput, and_(ReportInput.instance_id == Instance.id, ReportInput.report_id.in_(written)))
        .where(Instance.study_id.in_(list(reports)))
        .order_by(Instance.study_id, Object.id)
    )
    for row in rows:
        found[row.study_id].append(
            EntryInput(
                instance_id=row.id,
                object_id=row.object_id,
                bucket=row.bucket,
                key=row.key,
                state=row.state,
                sha256=row.sha256,
                projection=row.projection,
                used=bool(row.used),
                reason=row.reason if row.role is None else row.role,
                notes=tuple(row.notes),
            )
        )
    return found


def _entry(row: Any, inputs: Sequence[EntryInput], statements: Sequence[FindingFact]) -> StudyEntry:
    return StudyEntry(
        study_id=row.id,
        revision_id=row.newest_id,
        study_instance_uid=row.study_instance_uid,
        study_date=row.study_date,
        modality=row.modality,
        study_description=row.study_description,
        state=row.state or "waiting",
        reason=row.reason or "",
        complete_because=row.complete_because or "",
        revision=row.revision,
        report=_report(row, statements) if row.report_id is not None else None,
        inputs=tuple(inputs),
    )


def _report(row: Any, statements: Sequence[FindingFact]) -> EntryReport:
    return EntryReport(
        report_id=row.report_id,
        revision_id=row.revision_id,
        findings=row.findings,
        impression=row.impression,
        confidence=row.confidence,
        status=row.status,
        created_at=row.created_at,
        model_name=row.name,
        model_version=row.version,
        weights_sha256=row.weights_sha256,
        supersedes_id=row.supersedes_id,
        statements=tuple(statements),
    )
