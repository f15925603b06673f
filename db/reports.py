"""Reports with their provenance: what was written, from which bytes, by which weights, in place of what.

Works inside the caller's transaction. The same (revision, model version, decoding) is written once; a study has
one current report, and its predecessor stays, marked superseded. One that a person verified or corrected stays
current until new images make another revision. Whoever writes again what was superseded meanwhile makes it
current again: the champion was rolled back, or what was on trial became champion. A model on trial (a shadow)
writes reports that are superseded from their beginning.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import Connection, insert, select, update

from db.errors import DatabaseFault, ProvenanceMissing
from db.records import ReportFact, RevisionOutcome, RevisionState
from db.report_tables import AuditEvent, Finding, Report, ReportInput
from db.tables import Instance, Object, RevisionInstance, StudyRevision

A_PERSONS = ("verified", "corrected")  # the status of a report that a person stands for


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """Who writes these reports."""

    worker: str
    run_id: int
    model_version_id: int
    decoding_sha256: str


def require_inputs(outcome: RevisionOutcome) -> None:
    """Refuse a report that names no input it was made from, and any other ending that gives no reason."""
    if outcome.state is not RevisionState.REPORTED:
        if outcome.report is not None or not outcome.reason:
            raise ProvenanceMissing(
                f"revision {outcome.revision_id} ended {outcome.state.value} and must have a reason and no report"
            )
        return
    if outcome.report is None or not any(item.used for item in outcome.report.inputs):
        raise ProvenanceMissing(
            f"revision {outcome.revision_id} was reported without a used input; a report must name its images"
        )


def require_numbers(outcome: RevisionOutcome) -> None:
    """Refuse what is not a number: one engine would store it and the other fail the whole chunk."""
    if outcome.report is not None:
        numbers = (outcome.report.confidence, *outcome.report.concepts.values())
        if not all(isfinite(number) for number in numbers):
            raise DatabaseFault(f"revision {outcome.revision_id} was reported with a confidence that is no number")


def write(
    connection: Connection, outcomes: Sequence[RevisionOutcome], studies: Mapping[int, int], maker: Maker
) -> None:
    """Write the reports of these revisions. `studies` gives each revision's study."""
    fresh, written = _fresh(connection, outcomes, maker)
    _revive(connection, written, maker)
    if not fresh:
        return
    inputs = _inputs(connection, fresh)
    earlier, kept = _supersede(connection, {studies[revision_id]: revision_id for revision_id in fresh})
    report_ids = _insert(connection, fresh, studies, earlier, maker, never_current=kept)
    _insert_findings(connection, fresh, report_ids)
    _insert_inputs(connection, inputs, report_ids)
    _audit(connection, report_ids, studies, earlier, maker)


def write_shadows(connection: Connection, outcomes: Sequence[RevisionOutcome], maker: Maker) -> int:
    """Write reports of a model on trial, which never are current; how many are new."""
    fresh, _ = _fresh(connection, outcomes, maker)
    if not fresh:
        return 0
    inputs = _inputs(connection, fresh)
    rows = connection.execute(
        select(StudyRevision.id, StudyRevision.study_id).where(StudyRevision.id.in_(list(fresh)))
    )
    studies = {row.id: row.study_id for row in rows}
    never_current = set(studies.values())
    report_ids = _insert(connection, fresh, studies, {}, maker, never_current=never_current, is_shadow=True)
    _insert_findings(connection, fresh, report_ids)
    _insert_inputs(connection, inputs, report_ids)
    events = [
        {"entity_id": report_id, "detail": {"revision": revision_id, "run": maker.run_id}}
        for revision_id, report_id in report_ids.items()
    ]
    told = {"actor": maker.worker, "entity": "report", "action": "shadow report written"}
    connection.execute(insert(AuditEvent), [told | event for event in events])
    return len(report_ids)


def _fresh(
    connection: Connection, outcomes: Sequence[RevisionOutcome], maker: Maker
) -> tuple[dict[int, ReportFact], list[Any]]:
    """The reports that are not there yet, by revision; and the rows of those that are."""
    rows = connection.execute(
        select(Report.revision_id, Report.id, Report.study_id, Report.status).where(
            Report.revision_id.in_([outcome.revision_id for outcome in outcomes]),
            Report.model_version_id == maker.model_version_id,
            Report.decoding_sha256 == maker.decoding_sha256,
        )
    ).all()
    written = {row.revision_id for row in rows}
    fresh = {
        outcome.revision_id: outcome.report
        for outcome in outcomes
        if outcome.report is not None and outcome.revision_id not in written
    }
    return fresh, list(rows)


def _revive(connection: Connection, written: Sequence[Any], maker: Maker) -> None:
    """Make reports current again that were superseded, or were a shadow's; each takes its place from another."""
    back = [row for row in written if row.status == "superseded"]
    if not back:
        return
    earlier, kept = _supersede(connection, {row.study_id: row.revision_id for row in back})
    for row in back:
        if row.study_id in kept:
            continue
        old = earlier.get(row.study_id)
        detail = {"was": old.status if old else None, "by_report": row.id, "supersedes": old.id if old else None}
        event = {"entity": "report", "action": "report current again", "entity_id": row.id, "detail": detail}
        connection.execute(update(Report).where(Report.id == row.id).values(status="draft", is_shadow=False))
        connection.execute(insert(AuditEvent), [{"actor": maker.worker, **event}])


def _inputs(connection: Connection, fresh: Mapping[int, ReportFact]) -> dict[int, list[dict[str, Any]]]:
    """The inputs with the identity of their bytes, copied from the ledger and never from the caller."""
    rows = connection.execute(
        select(RevisionInstance.revision_id, Instance.id, Instance.sha256, Object.etag)
        .join(Instance, Instance.id == RevisionInstance.instance_id)
        .join(Object, Object.id == Instance.object_id)
        .where(RevisionInstance.revision_id.in_(list(fresh)))
    )
    known = {(row.revision_id, row.id): row for row in rows}
    inputs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for revision_id, report in fresh.items():
        for item in report.inputs:
            row = known.get((revision_id, item.instance_id))
            if row is None or not row.sha256 or not row.etag:
                raise ProvenanceMissing(
                    f"revision {revision_id} was reported from instance {item.instance_id}, "
                    "which is not one of its own with ETag and SHA-256"
                )
            inputs[revision_id].append(
                {
                    "instance_id": item.instance_id,
                    "etag": row.etag,
                    "sha256": row.sha256,
                    "used": item.used,
                    "reason": item.reason,
                }
            )
    return inputs


def _supersede(connection: Connection, revisions: Mapping[int, int]) -> tuple[dict[int, Any], set[int]]:
    """Retire the current reports of studies, each given with the revision that is reported now.

    By study, what they were; and the studies whose report a person verified or corrected for this very revision:
    it stays, since no draft of the same images takes the place of a person's word.
    """
    rows = connection.execute(
        select(Report.study_id, Report.id, Report.status, Report.revision_id)
        .where(Report.study_id.in_(list(revisions)), Report.status != "superseded")
        .order_by(Report.id)
        .with_for_update(key_share=True)
    ).all()
    kept = {row.study_id for row in rows if row.status in A_PERSONS and row.revision_id == revisions[row.study_id]}
    retired = {row.study_id: row for row in rows if row.study_id not in kept}
    if retired:
        ids = [row.id for row in retired.values()]
        connection.execute(update(Report).where(Report.id.in_(ids)).values(status="superseded"))
    return retired, kept


def _insert(
    connection: Connection,
    fresh: Mapping[int, ReportFact],
    studies: Mapping[int, int],
    earlier: Mapping[int, Any],
    maker: Maker,
    *,
    never_current: Collection[int] = (),  # studies
    is_shadow: bool = False,
) -> dict[int, int]:
    rows = [
        {
            "study_id": studies[revision_id],
            "revision_id": revision_id,
            "model_version_id": maker.model_version_id,
            "run_id": maker.run_id,
            "decoding_sha256": maker.decoding_sha256,
            "findings": report.findings,
            "impression": report.impression,
            "confidence": report.confidence,
            "concepts": report.concepts,
            "background": report.background,
            "supersedes_id": earlier[studies[revision_id]].id if studies[revision_id] in earlier else None,
            "status": "superseded" if studies[revision_id] in never_current else "draft",
            "is_shadow": is_shadow,
        }
        for revision_id, report in fresh.items()
    ]
    made = connection.execute(insert(Report).returning(Report.revision_id, Report.id), rows)
    return {row.revision_id: row.id for row in made}


def _insert_findings(
    connection: Connection, fresh: Mapping[int, ReportFact], report_ids: Mapping[int, int]
) -> None:
    rows = [
        {
            "report_id": report_ids[revision_id],
            "label": item.label,
            "polarity": item.polarity,
            "sentence": item.sentence,
        }
        for revision_id, report in fresh.items()
        for item in report.statements
    ]
    if rows:
        connection.execute(insert(Finding), rows)


def _insert_inputs(
    connection: Connection, inputs: Mapping[int, Sequence[Mapping[str, Any]]], report_ids: Mapping[int, int]
) -> None:
    rows = [{"report_id": report_ids[revision_id], **row} for revision_id, many in inputs.items() for row in many]
    connection.execute(insert(ReportInput), rows)


def _audit(
    connection: Connection,
    report_ids: Mapping[int, int],
    studies: Mapping[int, int],
    earlier: Mapping[int, Any],
    maker: Maker,
) -> None:
    events = []
    for revision_id, report_id in report_ids.items():
        old = earlier.get(studies[revision_id])
        if old is not None:
            detail = {"was": old.status, "by_report": report_id}
            events.append({"action": "report superseded", "entity_id": old.id, "detail": detail})
        detail = {"revision": revision_id, "run": maker.run_id, "supersedes": None if old is None else old.id}
        events.append({"action": "report written", "entity_id": report_id, "detail": detail})
    connection.execute(
        insert(AuditEvent), [{"actor": maker.worker, "entity": "report", **event} for event in events]
    )
