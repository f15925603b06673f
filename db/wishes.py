"""What an operator wishes of single studies: take this one now, as it is.

Works inside the caller's transaction; `release` grants the wish. Knows no report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, literal_column, select, update

from db.base import UtcNow
from db.records import Lane
from db.report_tables import AuditEvent
from db.tables import Study, StudyRevision


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What became of the studies that were named."""

    asked: int  # they have something new, and are released now
    settled: int  # known, but nothing new has come since they were released; at most their lane changed
    unknown: tuple[str, ...]  # Study Instance UIDs that the ledger does not have


def release_now(connection: Connection, uids: Sequence[str], *, lane: Lane | None, actor: str) -> Wish:
    """Ask that these studies are released as they are; with `lane`, that they and what waits of them go there."""
    rows = connection.execute(
        select(Study.id, Study.study_instance_uid, Study.dirty_since)
        .where(Study.study_instance_uid.in_(uids))
        .order_by(Study.id)
        .with_for_update(key_share=True)
    ).all()
    known = [row.id for row in rows]
    dirty = [row.id for row in rows if row.dirty_since is not None]
    # Not where nothing is new: the wish would outlive its reason, and tear apart what comes years later.
    connection.execute(update(Study).where(Study.id.in_(dirty)).values(release_asked_at=UtcNow()))
    if lane is not None:
        _change_lane(connection, known, lane)
    if known:
        detail = {"lane": lane.value if lane else None}
        event = {"actor": actor, "action": "release asked", "entity": "study", "detail": detail}
        connection.execute(insert(AuditEvent), [event | {"entity_id": study_id} for study_id in known])
    missing = set(uids) - {row.study_instance_uid for row in rows}
    unknown = tuple(uid for uid in dict.fromkeys(uids) if uid in missing)
    return Wish(asked=len(dirty), settled=len(known) - len(dirty), unknown=unknown)


def _change_lane(connection: Connection, study_ids: Sequence[int], lane: Lane) -> None:
    connection.execute(update(Study).where(Study.id.in_(study_ids)).values(lane=lane.value))
    waiting = StudyRevision.state == literal_column("'waiting'")
    connection.execute(
        update(StudyRevision).where(StudyRevision.study_id.in_(study_ids), waiting).values(lane=lane.value)
    )
