"""How the lanes share the workers: which study revisions the next claim takes.

First whatever may have killed its worker, alone. Then routine studies that waited too long, oldest first. The rest
of a claim is dealt to the lanes by their weights; a lane without work leaves its share to the others. So a lane
gets its share under load, an idle machine serves any lane at once, and an old routine study beats a new urgent
one. The back-fill lane never becomes overdue: its weight alone keeps it moving.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select, union_all

from db.base import UtcIn
from db.leases import free_rows
from db.records import Lane
from db.tables import StudyRevision


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What could be claimed now, counted no further than a claim would take."""

    suspects: int  # a worker died while it had them
    overdue: int  # routine ones that waited too long; counted under their lane too
    lanes: Mapping[Lane, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """A part of a claim: so many from one lane."""

    lane: Lane | None  # None: suspects of any lane
    limit: int


@dataclass(kw_only=True, slots=True)
class Lanes:
    """One worker's share-out. It remembers what it owes each lane, so that small claims keep the weights too."""

    weights: Mapping[Lane, int]  # the lanes that this worker serves
    overdue_seconds: float
    _owed: dict[Lane, float] = field(default_factory=dict)

    def share(self, due: Due, limit: int) -> list[Take]:
        """Which lanes the next `limit` studies come from."""
        if due.suspects:
            return [Take(lane=None, limit=1)]
        left = dict(due.lanes)
        overdue = min(due.overdue, limit)
        taken = dict.fromkeys(self.weights, 0)
        if overdue:
            taken[Lane.ROUTINE] = overdue
            left[Lane.ROUTINE] -= overdue
        for _ in range(limit - overdue):
            lane = self._next(left)
            if lane is None:
                break
            taken[lane] += 1
            left[lane] -= 1
        return [Take(lane=lane, limit=count) for lane, count in taken.items() if count]

    def _next(self, left: Mapping[Lane, int]) -> Lane | None:
        """Smooth weighted round robin over the lanes that have work; a lane without work saves nothing up."""
        open_lanes = [lane for lane in self.weights if left.get(lane, 0) > 0]
        if not open_lanes:
            return None
        for lane in self.weights:
            self._owed[lane] = self._owed.get(lane, 0.0) + self.weights[lane] if lane in open_lanes else 0.0
        chosen = max(open_lanes, key=lambda lane: self._owed[lane])
        self._owed[chosen] -= sum(self.weights[lane] for lane in open_lanes)
        return chosen


def due(connection: Connection, lanes: Lanes, limit: int) -> Due:
    """Count what could be claimed, each kind up to `limit`, in one statement over the waiting rows' indexes."""
    counted = [_counted("suspects", 1, is_suspect())]
    if Lane.ROUTINE in lanes.weights:
        counted.append(_counted("overdue", limit, in_lane(Lane.ROUTINE), is_overdue(lanes.overdue_seconds)))
    counted += [_counted(lane.value, limit, in_lane(lane)) for lane in lanes.weights]
    found = {row.kind: row.number for row in connection.execute(union_all(*counted))}
    return Due(
        suspects=found["suspects"],
        overdue=found.get("overdue", 0),
        lanes={lane: found[lane.value] for lane in lanes.weights},
    )


def in_lane(lane: Lane) -> ColumnElement[bool]:
    """Rows of one lane; a literal, so that the waiting rows' partial index answers."""
    return StudyRevision.lane == literal_column(f"'{lane.value}'")


def is_suspect() -> ColumnElement[bool]:
    """Rows under which a worker died: each is worked on alone, so that it takes no other along."""
    return StudyRevision.crashes > literal_column("0")


def is_overdue(seconds: float) -> ColumnElement[bool]:
    """Rows that have waited for longer than this; one that was put off is late for a reason of its own."""
    return and_(StudyRevision.attempts == literal_column("0"), StudyRevision.queued_at <= UtcIn(-seconds))


def _counted(kind: str, limit: int, *conditions: ColumnElement[bool]) -> Any:
    found = free_rows(StudyRevision).where(*conditions).limit(limit).subquery()
    return select(literal_column(f"'{kind}'").label("kind"), func.count().label("number")).select_from(found)
