"""Reports with their provenance: what was written, from which bytes, by which weights, in place of what.

Works inside the caller's transaction. The same (revision, model version, decoding) is written once; a study has
one current report, and its predecessor stays, marked superseded.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import Connection, insert, select, update

from db.errors import DatabaseFault, ProvenanceMissing
from db.records import ReportFact, RevisionOutcome, RevisionState
from db.report_tables import AuditEvent, Finding, Report, ReportInput
from db.tables import Instance, Object, RevisionInstance


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
    written = _written(connection, [outcome.revision_id for outcome in outcomes], maker)
    fresh = {
        outcome.revision_id: outcome.report
        for outcome in outcomes
        if outcome.report is not None and outcome.revision_id not in written
    }
    if not fresh:
        return
    inputs = _inputs(connection, fresh)
    earlier = _supersede(connection, [studies[revision_id] for revision_id in fresh])
    report_ids = _insert(connection, fresh, studies, earlier, maker)
    _insert_findings(connection, fresh, report_ids)
    connection.execute(
        insert(ReportInput),
        [{"report_id": report_ids[revision_id], **row} for revision_id, rows in inputs.items() for row in rows],
    )
    _audit(connection, report_ids, studies, earlier, maker)


def _written(connection: Connection, revision_ids: Sequence[int], maker: Maker) -> set[int]:
    """Those of the revisions that have this very report already."""
    rows = connection.execute(
        select(Report.revision_id).where(
            Report.revision_id.in_(revision_ids),
            Report.model_version_id == maker.model_version_id,
            Report.decoding_sha256 == maker.decoding_sha256,
        )
    )
    return set(rows.scalars())


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


def _supersede(connection: Connection, study_ids: Sequence[int]) -> dict[int, Any]:
    """Retire the studies' current reports; by study, what they were."""
    rows = connection.execute(
        select(Report.study_id, Report.id, Report.status)
        .where(Report.study_id.in_(study_ids), Report.status != "superseded")
        .order_by(Report.id)
        .with_for_update(key_share=True)
    ).all()
    if rows:
        connection.execute(
            update(Report).where(Report.id.in_([row.id for row in rows])).values(status="superseded")
        )
    return {row.study_id: row for row in rows}


def _insert(
    connection: Connection,
    fresh: Mapping[int, ReportFact],
    studies: Mapping[int, int],
    earlier: Mapping[int, Any],
    maker: Maker,
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
            "supersedes_id": earlier[studies[revision_id]].id if studies[revision_id] in earlier else None,
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
