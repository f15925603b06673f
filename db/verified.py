"""The reports that a person verified or corrected: what a model may learn from. A batch is three queries.

Counts a report as verified though a later one took its place, since what the person wrote of those images stays
true; of a study the newest such report is meant. A correction stands for the text that it corrects, and a report
marked corrected without one is none. Works inside the caller's transactions, one for each batch.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from db import backgrounds
from db.engine import reading
from db.records import BackgroundFact
from db.report_tables import AuditEvent, Correction, Report, ReportInput
from db.tables import Study

BATCH = 500  # studies


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedReport:
    """What a person stands for, and the images it was written about."""

    study_id: int
    report_id: int
    patient_id: str  # as the ledger keeps it: must not leave it
    patient: int  # the patient's first study in this ledger: stands for the patient outside
    findings: str
    impression: str
    background: BackgroundFact  # what was known before the images; the indication where the site keeps it
    inputs: tuple[tuple[str, str], ...]  # role and SHA-256 of the used ones, in their order


def verified_reports(engine: Engine) -> Iterator[VerifiedReport]:
    """Every study's newest verified report, by study."""
    after = 0
    while True:
        with reading(engine) as connection:
            found = _batch(connection, after)
        if not found:
            return
        after = found[-1].study_id
        yield from found


def _batch(connection: Connection, after: int) -> list[VerifiedReport]:
    rows = connection.execute(_NEWEST.where(Report.study_id > after).limit(BATCH)).all()
    inputs = _inputs(connection, [row.id for row in rows])
    known = backgrounds.of_studies(connection, [row.study_id for row in rows])
    return [
        VerifiedReport(
            study_id=row.study_id,
            report_id=row.id,
            patient_id=row.patient_id,
            patient=row.patient,
            findings=row.findings,
            impression=row.impression,
            background=known.get(row.study_id, BackgroundFact()),
            inputs=tuple(inputs[row.id]),
        )
        for row in rows
    ]


def _by_a_person(report: type[Report]) -> ColumnElement[bool]:
    """Whether a person stands for the report, or did when a later one took its place."""
    corrected = exists().where(Correction.report_id == report.id)
    states = (report.status, AuditEvent.detail["was"].as_string())
    now, before = (or_(state == "verified", and_(state == "corrected", corrected)) for state in states)
    superseded = exists().where(
        AuditEvent.entity == "report",
        AuditEvent.entity_id == report.id,
        AuditEvent.action == "report superseded",
        before,
    )
    return or_(now, and_(report.status == "superseded", superseded))


def _newest() -> Select[Any]:
    """Each study's newest report that a person stands for, with the person's text where there is one."""
    later, correction, same = aliased(Report), aliased(Correction), aliased(Study)
    first = select(func.min(same.id)).where(same.patient_id == Study.patient_id).scalar_subquery()
    last_word = select(func.max(Correction.id)).where(Correction.report_id == Report.id).scalar_subquery()
    newest = select(func.max(later.id)).where(later.study_id == Report.study_id, _by_a_person(later))
    return (
        select(
            *(Report.id, Report.study_id, Study.patient_id),
            case((Study.patient_id == "", Study.id), else_=first).label("patient"),
            func.coalesce(correction.findings, Report.findings).label("findings"),
            func.coalesce(correction.impression, Report.impression).label("impression"),
        )
        .join(Study, Study.id == Report.study_id)
        .outerjoin(correction, correction.id == last_word)
        .where(Report.id == newest.scalar_subquery())
        .order_by(Report.study_id)
    )


_NEWEST = _newest()


def _inputs(connection: Connection, reports: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = connection.execute(
        select(ReportInput.report_id, ReportInput.reason, ReportInput.sha256)
        .where(ReportInput.report_id.in_(reports), ReportInput.used)
        .order_by(ReportInput.report_id, ReportInput.instance_id)
    )
    for row in rows:
        found[row.report_id].append((row.reason, row.sha256))
    return found
