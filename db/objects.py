"""Objects in, studies and instances out: what a listing found, and what became of it.

Every function works inside the caller's transaction. Rows of one statement come in a fixed order (objects by id,
studies by UID), so that two chunks which share studies wait for each other instead of deadlocking.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal_column, null, or_, select, text, update

from db import leases
from db.base import UtcNow, plain
from db.errors import ProvenanceMissing
from db.records import NO_IMAGE, Lane, ListedObject, ObjectOutcome, ObjectState, ObjectWork, StudyFact
from db.tables import Instance, Object, Study

_HEADER_TEXTS = ("patient_id", "patient_name", "accession_number", "study_description")

# Modalities of what accompanies images: a study is named after its images when it has any.
_COMPANIONS = ("", "SR", "PR", "KO", "DOC", "SEG", "REG", "AU")

DELETED = "the object was deleted before it was read"


def record(connection: Connection, bucket: str, listed: Iterable[ListedObject]) -> list[ListedObject]:
    """Add the objects that are new or back again; returns those. Handed in by key, two of them never deadlock."""
    missing = _missing(connection, bucket, listed)
    if not missing:
        return []
    pending = {  # literals: bound values would cost a statement for each row
        "state": literal_column("'pending'"),
        "reason": literal_column("''"),
        "attempts": literal_column("0"),
        "settled_at": null(),
    }
    added = (
        leases.upsert(connection, Object)
        .on_conflict_do_update(
            index_elements=["bucket", "key", "etag"],
            set_=pending,
            where=Object.state == literal_column("'gone'"),
        )
        .returning(Object.key, Object.etag)
    )
    rows = [
        {
            "bucket": bucket,
            "key": item.key,
            "etag": item.etag,
            "size": item.size,
            "last_modified": item.last_modified,
            "prefix": item.key.rpartition("/")[0] + "/" if "/" in item.key else "",
            "state": ObjectState.PENDING.value,
        }
        for item in missing.values()
    ]
    return [missing[row.key, row.etag] for row in connection.execute(added, rows)]


def _missing(
    connection: Connection, bucket: str, listed: Iterable[ListedObject]
) -> dict[tuple[str, str], ListedObject]:
    """Those that the ledger does not hold, by stored key and etag, each once and in this order.

    Asking for a page costs a quarter of writing it once more, which is what a listing of known objects would do.
    """
    asked = {(plain(item.key), plain(item.etag)): item for item in listed}
    if connection.dialect.name == "postgresql":
        # A table that grew since it was last analysed looks small, and would be read whole for each page.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    known = connection.execute(
        select(Object.key, Object.etag).where(
            Object.bucket == bucket,
            Object.key.in_(sorted({key for key, _ in asked})),
            Object.state != literal_column("'gone'"),
        )
    )
    held = {(row.key, row.etag) for row in known}
    return {name: item for name, item in asked.items() if name not in held}


def remove(connection: Connection, bucket: str, keys: Iterable[str]) -> int:
    """Pending objects of these keys, whatever their etag, are gone; how many. A leased one is its worker's."""
    ids = select(Object.id).where(
        Object.bucket == bucket,
        Object.key.in_(sorted({plain(key) for key in keys})),
        Object.state == literal_column("'pending'"),
        or_(Object.lease_until.is_(None), Object.lease_until <= UtcNow()),
    )
    gone = (
        update(Object)
        .where(Object.id.in_(ids.order_by(Object.id).with_for_update(skip_locked=True)))
        .values(
            state=ObjectState.GONE.value, reason=DELETED, lease_owner=None, lease_until=None, settled_at=UtcNow()
        )
    )
    return connection.execute(gone).rowcount


def claim(
    connection: Connection, *, bucket: str | None, owner: str, limit: int, lease_seconds: float
) -> list[ObjectWork]:
    """Lease objects for conversion: of one bucket, or of any."""
    rows = leases.claim(
        connection,
        Object,
        *(Object.id, Object.bucket, Object.key, Object.etag, Object.size, Object.last_modified, Object.attempts),
        where=[Object.bucket == bucket] if bucket is not None else [],
        owner=owner,
        limit=limit,
        lease_seconds=lease_seconds,
    )
    return [
        ObjectWork(
            object_id=row.id,
            bucket=row.bucket,
            key=row.key,
            etag=row.etag,
            size=row.size,
            last_modified=row.last_modified,
            attempts=row.attempts,
        )
        for row in rows
    ]


def settle(connection: Connection, outcomes: Iterable[ObjectOutcome], *, owner: str) -> None:
    """Write what became of those objects that `owner` still holds; the others are left as they are."""
    by_id = {outcome.object_id: outcome for outcome in outcomes}
    for outcome in by_id.values():
        _require_facts(outcome)
    rows = leases.held(connection, Object, Object.id, Object.last_modified, ids=list(by_id), owner=owner)
    mine = [(by_id[row.id], min(row.last_modified, row.now)) for row in rows]
    closed = [(outcome, arrived) for outcome, arrived in mine if outcome.state is not ObjectState.PENDING]
    leases.defer(
        connection,
        Object,
        [(item.object_id, item.retry_in, item.reason) for item, _ in mine if item.state is ObjectState.PENDING],
    )
    leases.settle(connection, Object, [(item.object_id, item.state.value, item.reason) for item, _ in closed])
    known = [(outcome, outcome.study, arrived) for outcome, arrived in closed if outcome.study is not None]
    if known:
        study_ids = _gather_studies(connection, [(fact, arrived) for _, fact, arrived in known], rows[0].now)
        _write_instances(connection, [(item, fact, study_ids) for item, fact, _ in known])


def _require_facts(outcome: ObjectOutcome) -> None:
    if outcome.state is not ObjectState.CONVERTED:
        return
    if outcome.study is None or outcome.instance is None or not outcome.instance.sha256:
        raise ProvenanceMissing(
            f"object {outcome.object_id} was handed in as converted without its study, instance or SHA-256; "
            "the converter must name all three"
        )


def _gather_studies(
    connection: Connection, facts: Sequence[tuple[StudyFact, datetime]], now: datetime
) -> dict[str, int]:
    """Make or complete the studies, each once; their ids by UID."""
    merged: dict[str, dict[str, Any]] = {}
    for fact, arrived in facts:
        _merge(merged.setdefault(plain(fact.study_instance_uid), {}), fact, arrived, now)
    insert = leases.upsert(connection, Study)
    new = insert.excluded
    gathered = insert.on_conflict_do_update(
        index_elements=["study_instance_uid"],
        set_={
            **{
                name: case((getattr(Study, name) == "", new[name]), else_=getattr(Study, name))
                for name in _HEADER_TEXTS
            },
            "modality": case(
                (
                    Study.modality.in_([literal_column(f"'{name}'") for name in _COMPANIONS]),
                    func.coalesce(func.nullif(new.modality, ""), Study.modality),
                ),
                else_=Study.modality,
            ),
            "study_date": func.coalesce(Study.study_date, new.study_date),
            "lane": case((_urgency(new.lane) > _urgency(Study.lane), new.lane), else_=Study.lane),
            "first_arrival_at": case(
                (Study.first_arrival_at > new.first_arrival_at, new.first_arrival_at), else_=Study.first_arrival_at
            ),
            "last_arrival_at": case(
                (Study.last_arrival_at < new.last_arrival_at, new.last_arrival_at), else_=Study.last_arrival_at
            ),
            "dirty_since": func.coalesce(Study.dirty_since, new.dirty_since),
        },
    ).returning(Study.study_instance_uid, Study.id)
    rows = connection.execute(gathered, [merged[uid] for uid in sorted(merged)])
    return {row.study_instance_uid: row.id for row in rows}


def _merge(row: dict[str, Any], fact: StudyFact, arrived: datetime, now: datetime) -> None:
    """Objects of one study in one chunk: the first non-empty value of each field holds."""
    row["study_instance_uid"] = plain(fact.study_instance_uid)
    if row.get("modality", "") in _COMPANIONS:
        row["modality"] = fact.modality or row.get("modality", "")
    for name in _HEADER_TEXTS:
        row[name] = row.get(name) or getattr(fact, name)
    row["study_date"] = row.get("study_date") or fact.study_date
    row["first_arrival_at"] = min(row.get("first_arrival_at", arrived), arrived)
    row["last_arrival_at"] = max(row.get("last_arrival_at", arrived), arrived)
    row["dirty_since"] = now
    row["lane"] = min(row.get("lane", fact.lane.value), fact.lane.value, key=list(Lane).index)


def _urgency(lane: Any) -> ColumnElement[int]:
    """Higher goes first."""
    ranks: list[tuple[Any, Any]] = [
        (literal_column(f"'{name.value}'"), literal_column(str(-rank))) for rank, name in enumerate(Lane)
    ]
    return case(*((lane == name, rank) for name, rank in ranks))


def _write_instances(
    connection: Connection, known: Sequence[tuple[ObjectOutcome, StudyFact, dict[str, int]]]
) -> None:
    """One row for each object; an object that was tried again says anew what it holds."""
    insert = leases.upsert(connection, Instance)
    written = insert.on_conflict_do_update(
        index_elements=["object_id"],
        set_={
            name: column
            for name, column in insert.excluded.items()
            if name not in {"id", "object_id", "created_at"}
        },
    )
    rows = []
    for outcome, study, study_ids in known:
        fact = outcome.instance or NO_IMAGE
        rows.append(
            {
                "study_id": study_ids[plain(study.study_instance_uid)],
                "object_id": outcome.object_id,
                "modality": study.modality,
                "sop_instance_uid": fact.sop_instance_uid,
                "sop_class_uid": fact.sop_class_uid,
                "series_instance_uid": fact.series_instance_uid,
                "transfer_syntax_uid": fact.transfer_syntax_uid,
                "photometric_interpretation": fact.photometric_interpretation,
                "rows": fact.rows,
                "columns": fact.columns,
                "body_part_examined": fact.body_part_examined,
                "projection": fact.projection,
                "projection_source": fact.projection_source,
                "projection_confidence": fact.projection_confidence,
                "standing": fact.standing,
                "sha256": fact.sha256,
                "notes": list(fact.notes),
                "indication": fact.background.indication,
                "age": fact.background.age,
                "sex": fact.background.sex,
            }
        )
    connection.execute(written, rows)
