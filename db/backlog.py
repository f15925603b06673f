"""The backlog: what is left in each lane, how long it has waited, and how fast it is worked off.

Works inside the caller's transaction and only reads. Its cost grows with the work left and with what was settled
in the last hour, not with the ledger: partial indexes and the index on `settled_at` answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal_column, or_, select

from db.base import UtcIn, UtcNow
from db.fleet_tables import QueuePause
from db.leases import LeasedTable
from db.records import Lane, RevisionState
from db.tables import Object, StudyRevision

QueueName = Literal["convert", "caption"]
CONVERT: Final = "convert"
CAPTION: Final = "caption"
TABLES: dict[QueueName, LeasedTable] = {CONVERT: Object, CAPTION: StudyRevision}
SHORT, LONG = 600.0, 3600.0  # seconds over which a rate is taken
LEAST = 60.0  # seconds; over less, a rate is a guess


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """The work left in one lane, or of the objects, which have none."""

    queue: str  # convert or caption
    lane: str  # "" for objects
    due: int  # could be taken now
    working: int  # leased
    deferred: int  # put off until later
    oldest_seconds: float  # how long the oldest that is due has waited; 0 without any

    @property
    def left(self) -> int:
        """All of it."""
        return self.due + self.working + self.deferred


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How fast one queue's work ended lately."""

    short: int  # settled in the last ten minutes
    long: int  # settled in the last hour
    per_second: float  # over ten minutes; over the hour when nothing ended in ten minutes


def backlog(connection: Connection) -> tuple[Backlog, ...]:
    """What is left: the objects, then each lane, the urgent first; empty ones too."""
    objects = connection.execute(select(*_counted(Object, Object.created_at)).where(_open(Object))).one()
    since = func.coalesce(StudyRevision.queued_at, StudyRevision.created_at)
    lanes = connection.execute(
        select(StudyRevision.lane, *_counted(StudyRevision, since))
        .where(_open(StudyRevision))
        .group_by(StudyRevision.lane)
    )
    by_lane = {row.lane: row for row in lanes}
    return (
        _backlog(CONVERT, "", objects),
        *(_backlog(CAPTION, lane.value, by_lane.get(lane.value)) for lane in Lane),
    )


def has_stalled(
    connection: Connection,
    queue: str,
    *,
    seconds: float,
    bucket: str | None = None,
    lanes: Sequence[Lane] = tuple(Lane),
) -> bool:
    """Whether work of a queue that is not paused has been due and free for so long.

    Args:
        connection: Of the ledger.
        queue: Which work.
        seconds: How long.
        bucket: Objects of this bucket only; others are another converter's.
        lanes: Studies of these lanes only.
    """
    table, before = TABLES[CONVERT if queue == CONVERT else CAPTION], UtcIn(-seconds)
    waits = select(1).where(
        _open(table),
        table.next_attempt_at <= before,
        or_(table.lease_until.is_(None), table.lease_until <= before),
    )
    if queue == CAPTION and set(lanes) != set(Lane):
        waits = waits.where(StudyRevision.lane.in_([lane.value for lane in lanes]))
    if queue == CONVERT and bucket is not None:
        waits = waits.where(Object.bucket == bucket)
    paused = exists(select(1).where(QueuePause.queue == queue))
    return bool(connection.execute(select(and_(exists(waits), ~paused))).scalar_one())


def rate(connection: Connection, queue: QueueName) -> Rate:
    """How fast the queue's work ended; superseded revisions were not worked on and do not count."""
    table = TABLES[queue]
    recent = table.settled_at >= UtcIn(-SHORT)
    row = connection.execute(
        select(
            func.count().label("long"),
            func.count().filter(recent).label("short"),
            func.min(table.settled_at).label("first"),
            func.min(table.settled_at).filter(recent).label("first_recent"),
            UtcNow().label("now"),
        ).where(table.settled_at >= UtcIn(-LONG), table.state != RevisionState.SUPERSEDED.value)
    ).one()
    count, first = (row.short, row.first_recent) if row.short else (row.long, row.first)
    seconds = max(LEAST, (row.now - first).total_seconds()) if count else LEAST
    return Rate(short=row.short, long=row.long, per_second=count / seconds)


def finish(now: datetime, *work: tuple[int, Rate]) -> datetime | None:
    """When the last of several kinds of work (number left, its rate) ends; None when one stands still."""
    seconds = 0.0
    for left, speed in work:
        if left and not speed.per_second:
            return None
        seconds = max(seconds, left / speed.per_second if left else 0.0)
    return now + timedelta(seconds=seconds)


def _open(table: LeasedTable) -> ColumnElement[bool]:
    return table.state == literal_column(f"'{table.open_state}'")  # a literal: a partial index answers


def _counted(table: LeasedTable, since: ColumnElement[datetime] | Any) -> list[ColumnElement[Any]]:
    is_leased = and_(table.lease_until.is_not(None), table.lease_until > UtcNow())
    is_free = or_(table.lease_until.is_(None), table.lease_until <= UtcNow())
    is_due = and_(is_free, table.next_attempt_at <= UtcNow())
    return [
        func.count().filter(is_due).label("due"),
        func.count().filter(is_leased).label("working"),
        func.count().filter(is_free, table.next_attempt_at > UtcNow()).label("deferred"),
        func.min(since).filter(is_due).label("oldest"),
        UtcNow().label("now"),
    ]


def _backlog(queue: QueueName, lane: str, row: Any) -> Backlog:
    if row is None:
        return Backlog(queue=queue, lane=lane, due=0, working=0, deferred=0, oldest_seconds=0.0)
    waited = (row.now - row.oldest).total_seconds() if row.oldest else 0.0
    return Backlog(
        queue=queue,
        lane=lane,
        due=row.due,
        working=row.working,
        deferred=row.deferred,
        oldest_seconds=max(0.0, waited),
    )
