"""The accounts: everything counted, what failed, and putting the failed back to work.

Works inside the caller's transaction. A study counts under the state of its newest revision.
"""

from typing import Any, Literal

from sqlalchemy import Connection, exists, func, insert, literal_column, select, update

from db.base import UtcNow
from db.entries import Failure, StudyCounts
from db.records import Balance, ObjectState, Reason, RevisionState
from db.report_tables import AuditEvent
from db.tables import Object, RevisionInstance, Study, StudyRevision

_OBJECT_STATES = {
    "converted": "converted",
    "skipped": "skipped",
    "failed": "failed",
    "gone": "skipped",
    "pending": "waiting",
}
_EXPLAINED = ("skipped", "failed", "gone", "pending", "waiting")
_NEWEST = StudyRevision.superseded_at.is_(None)


def balance(connection: Connection) -> Balance:
    """Everything that the ledger knows, counted."""
    number = func.count().label("number")
    objects = dict.fromkeys(_OBJECT_STATES.values(), 0)
    for row in connection.execute(select(Object.state, number).group_by(Object.state)):
        objects[_OBJECT_STATES[row.state]] += row.number
    studies, working = _studies(connection), _working(connection)
    return Balance(
        objects=objects,
        studies=studies | {"waiting": studies["waiting"] - working, "working": working},
        object_reasons=_reasons(connection, Object),
        study_reasons=_reasons(connection, StudyRevision, _NEWEST),
    )


def counts(connection: Connection) -> StudyCounts:
    """Where the studies stand, by index alone."""
    studies = _studies(connection)
    return StudyCounts(
        known=sum(studies.values()),
        reported=studies["reported"],
        skipped=studies["skipped"],
        failed=studies["failed"],
        waiting=studies["waiting"],
    )


def failures(connection: Connection, limit: int) -> list[Failure]:
    """What failed for good: studies first, then objects; each in order of id."""
    studies = connection.execute(
        select(StudyRevision.study_id, StudyRevision.reason)
        .where(StudyRevision.state == literal_column("'failed'"), _NEWEST)
        .order_by(StudyRevision.study_id)
        .limit(limit)
    ).all()
    objects = connection.execute(
        select(Object.id, Object.bucket, Object.key, Object.reason)
        .where(Object.state == literal_column("'failed'"))
        .order_by(Object.id)
        .limit(limit - len(studies))
    ).all()
    return [
        *(Failure(kind="study", id=row.study_id, bucket="", key="", reason=row.reason) for row in studies),
        *(Failure(kind="object", id=row.id, bucket=row.bucket, key=row.key, reason=row.reason) for row in objects),
    ]


def retry_objects(
    connection: Connection,
    actor: str,
    state: Literal[ObjectState.FAILED, ObjectState.SKIPPED] = ObjectState.FAILED,
) -> int:
    """Failed objects are pending again; or the skipped ones, for rules that have changed."""
    values = _anew(ObjectState.PENDING.value)
    renewed = update(Object).where(Object.state == literal_column(f"'{state.value}'")).values(values)
    return _audited(connection, actor, "object", connection.execute(renewed).rowcount)


def retry_studies(connection: Connection, actor: str) -> int:
    """Failed newest revisions wait again, those that have an image; without one there is nothing to work on."""
    has_image = exists(select(1).where(RevisionInstance.revision_id == StudyRevision.id).correlate(StudyRevision))
    values = _anew(RevisionState.WAITING.value) | {"queued_at": UtcNow()}
    renewed = (
        update(StudyRevision)
        .where(StudyRevision.state == literal_column("'failed'"), _NEWEST, has_image)
        .values(values)
    )
    return _audited(connection, actor, "study_revision", connection.execute(renewed).rowcount)


def _anew(state: str) -> dict[str, Any]:
    return {
        "state": state,
        "reason": "",
        "attempts": 0,
        "crashes": 0,
        "next_attempt_at": UtcNow(),
        "lease_owner": None,
        "lease_until": None,
        "settled_at": None,
    }


def _audited(connection: Connection, actor: str, entity: str, count: int) -> int:
    if count:
        event = {
            "actor": actor,
            "action": "retry",
            "entity": entity,
            "entity_id": None,
            "detail": {"count": count},
        }
        connection.execute(insert(AuditEvent), [event])
    return count


def _studies(connection: Connection) -> dict[str, int]:
    known = connection.execute(select(func.count()).select_from(Study)).scalar_one()
    number = func.count().label("number")
    rows = connection.execute(
        select(StudyRevision.state, number).where(_NEWEST).group_by(StudyRevision.state)  # an index alone answers
    )
    studies = dict.fromkeys(("reported", "skipped", "failed", "waiting"), 0)
    studies.update({row.state: row.number for row in rows})
    studies["waiting"] += known - sum(studies.values())  # those without a revision
    return studies


def _working(connection: Connection) -> int:
    return connection.execute(
        select(func.count())
        .select_from(StudyRevision)
        .where(StudyRevision.state == literal_column("'waiting'"), StudyRevision.lease_until > UtcNow())
    ).scalar_one()


def _reasons(
    connection: Connection, table: type[Object] | type[StudyRevision], *conditions: Any
) -> tuple[Reason, ...]:
    number = func.count().label("number")
    rows = connection.execute(
        select(table.state, table.reason, number)
        .where(
            table.state.in_([literal_column(f"'{state}'") for state in _EXPLAINED]),
            table.reason != "",
            *conditions,
        )
        .group_by(table.state, table.reason)
        .order_by(table.state, number.desc(), table.reason)
    )
    return tuple(
        Reason(state=_OBJECT_STATES.get(row.state, row.state), reason=row.reason, count=row.number) for row in rows
    )
