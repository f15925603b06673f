"""The breaker: when most of what a queue did lately failed for good, the fault is not in the studies.

It pauses the queue, so that a missing decoder or a bad model fails fifty studies and not the whole archive; a
person mends the cause, resumes the queue and retries what failed. Also tells cheaply whether there is anything to
claim. Works inside the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    literal_column,
    select,
)

from db import leases, pauses
from db.backlog import CAPTION, CONVERT, TABLES
from db.base import UtcIn
from db.fleet_tables import QueuePause
from db.lanes import in_lane
from db.leases import LeasedTable
from db.records import Lane
from db.report_tables import AuditEvent
from db.tables import Object, StudyRevision

LATELY = 600.0  # seconds
ACTOR = "breaker"


@dataclass(frozen=True, kw_only=True, slots=True)
class HasWork:
    """Whether anything is due and free."""

    convert: bool
    lanes: frozenset[Lane]


def is_paused(connection: Connection, queue: str) -> bool:
    """Whether nobody may claim from the queue."""
    found = select(QueuePause.queue).where(QueuePause.queue == queue)
    return connection.execute(found).first() is not None


def has_work(connection: Connection, lanes: Sequence[Lane]) -> HasWork:
    """What a claim would find, paused queues left out."""
    paused = {row.queue for row in connection.execute(select(QueuePause.queue))}
    open_lanes = [] if CAPTION in paused else lanes
    asked = [exists(leases.free_rows(StudyRevision).where(in_lane(lane))) for lane in open_lanes]
    found = connection.execute(select(exists(leases.free_rows(Object)), *asked)).one()
    return HasWork(
        convert=found[0] and CONVERT not in paused,
        lanes=frozenset(lane for lane, has_some in zip(open_lanes, found[1:], strict=True) if has_some),
    )


def trip(connection: Connection, *, share: float, least: int) -> list[str]:
    """Pause the queues that failed too often since they were last resumed; a line for each one paused now."""
    lines = []
    for queue, table in TABLES.items():
        failed, settled = _lately(connection, queue, table)
        if failed < least or failed <= share * settled:
            continue
        reason = (
            f"{failed:,} of {settled:,} failed in {LATELY / 60:.0f} minutes; mend the cause, "
            f"`nightread resume {queue}`, then `nightread retry`"
        )
        if pauses.pause(connection, queue, reason=reason, actor=ACTOR):
            lines.append(f"{queue}: {reason}")
    return lines


def _lately(connection: Connection, queue: str, table: LeasedTable) -> tuple[int, int]:
    """How many failed, and how many settled, in the last minutes and since somebody last resumed the queue."""
    since: list[ColumnElement[bool]] = [table.settled_at > UtcIn(-LATELY)]
    resumed = _resumed_at(connection, queue)
    if resumed is not None:
        since.append(table.settled_at > resumed)
    failed = func.count(case((table.state == literal_column("'failed'"), 1)))
    row = connection.execute(select(failed, func.count()).where(and_(*since))).one()
    return row[0], row[1]


def _resumed_at(connection: Connection, queue: str) -> datetime | None:
    """The time of the newest event that says so."""
    events = connection.execute(
        select(AuditEvent.created_at, AuditEvent.detail)
        .where(AuditEvent.entity == "queue_pause", AuditEvent.action == "resume")
        .order_by(AuditEvent.id.desc())
        .limit(20)
    )
    return next((row.created_at for row in events if row.detail.get("queue") == queue), None)
