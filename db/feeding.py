"""Feeding: a running back-fill queues its next studies in the backfill lane, a slice at a time.

Walks the studies by id from where the last slice ended, a fixed number at the most, so that a slice costs the same
in an archive of any size. The back-fill's row is locked meanwhile and a second feeder passes it by, so that two
never double its rate. Works inside the caller's transaction, by the database's clock.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, select, update

from db import backfills
from db.backfills import Selection
from db.base import UtcNow
from db.fleet_tables import Backfill, BackfillState, BackfillStudy
from db.records import Lane, RevisionState
from db.tables import Study, StudyRevision

WALK = 2000  # studies looked at in a slice
LANE_FULL = 5000  # waiting in the backfill lane: more would only outlast a pause or the window


@dataclass(frozen=True, kw_only=True, slots=True)
class Fed:
    """What one slice did. Nothing walked: there is nothing to do just now."""

    walked: int  # studies looked at
    queued: int  # of them
    finished: int  # back-fills that came to their end


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """How far one back-fill came in a slice."""

    last: int  # the id of the last study looked at
    walked: int
    queued: int
    finished: bool


def feed(
    connection: Connection,
    *,
    model_version_id: int,
    actor: str,
    limit: int = WALK,
    walk: int = WALK,
    lane_full: int = LANE_FULL,
) -> Fed:
    """Queue up to `limit` studies of each running back-fill, the oldest first, as its window and rate allow.

    A back-fill for another model than this one is left alone: the workers would only repeat what they know.
    """
    walked = queued = finished = 0
    rows = _running(connection, model_version_id)
    room = lane_full - _waiting(connection, lane_full) if rows else 0
    for row in rows:
        fed_at = row.fed_at or row.created_at
        pace = backfills.pace_of(row)
        allowed = pace.allowed(fed_at, row.now, most=min(limit, room - queued))
        if allowed <= 0:
            continue
        step = _step(connection, row, allowed, walk)
        paid = pace.paid(fed_at, row.now, queued=step.queued)
        _keep(connection, row, step, fed_at=paid, actor=actor)
        walked, queued, finished = walked + step.walked, queued + step.queued, finished + step.finished
    return Fed(walked=walked, queued=queued, finished=finished)


def _running(connection: Connection, model_version_id: int) -> list[Any]:
    """Lock the running back-fills of this model, those that no other feeder has."""
    rows = connection.execute(
        select(Backfill.__table__, UtcNow().label("now"))
        .where(Backfill.state == BackfillState.RUNNING.value, Backfill.model_version_id == model_version_id)
        .order_by(Backfill.id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return list(rows.all())


def _waiting(connection: Connection, most: int) -> int:
    """How many wait in the backfill lane, counted up to `most`."""
    line = select(1).where(
        StudyRevision.state == literal_column("'waiting'"),
        StudyRevision.lane == literal_column(f"'{Lane.BACKFILL.value}'"),
    )
    return connection.execute(select(func.count()).select_from(line.limit(most).subquery())).scalar_one()


def _step(connection: Connection, row: Any, allowed: int, walk: int) -> _Step:
    """Look at the next studies, and queue up to `allowed` of them."""
    selection = Selection.of_json(row.selection)
    if selection.named:  # names lie far apart: looking at more of them than may be queued reads all between
        walk = min(walk, allowed)
    ahead = _ahead(row, selection, walk).subquery()
    last, walked = connection.execute(select(func.max(ahead.c.id), func.count()).select_from(ahead)).one()
    if last is None:
        return _Step(last=row.after_study_id, walked=0, queued=0, finished=True)
    study_id = StudyRevision.study_id  # not study.id: the range must be the index's that gives the order
    between: ColumnElement[bool] = and_(study_id > row.after_study_id, study_id <= last)
    if selection.named:
        between = and_(between, study_id.in_(select(ahead.c.id)))
    queued = _queue(connection, and_(between, backfills.chosen(selection)), row.model_version_id, allowed)
    if len(queued) == allowed:  # there may be more before `last`
        return _Step(last=max(queued), walked=walked, queued=len(queued), finished=False)
    return _Step(last=last, walked=walked, queued=len(queued), finished=walked < walk)


def _ahead(row: Any, selection: Selection, walk: int) -> Select[int]:
    """The ids of the next studies to look at."""
    if not selection.named:
        return select(Study.id).where(Study.id > row.after_study_id).order_by(Study.id).limit(walk)
    named = BackfillStudy.study_id
    mine = and_(BackfillStudy.backfill_id == row.id, named > row.after_study_id)
    return select(named.label("id")).where(mine).order_by(named).limit(walk)


def _queue(connection: Connection, wanted: ColumnElement[bool], model_version_id: int, allowed: int) -> list[int]:
    """Put back to work what this model has not seen; gives the ids of the studies. Their reports stay current."""
    due = (
        select(StudyRevision.id)
        .join(Study, Study.id == StudyRevision.study_id)
        .where(backfills.NEWEST, wanted, backfills.unseen(model_version_id))
        .order_by(StudyRevision.study_id)
        .limit(allowed)
        .with_for_update(key_share=True, of=StudyRevision)
        .cte("due")
    )
    queued = (
        update(StudyRevision)
        .where(StudyRevision.id.in_(select(due.c.id)))
        .values(
            state=RevisionState.WAITING.value,
            lane=Lane.BACKFILL.value,
            reason="",
            attempts=0,
            crashes=0,
            queued_at=UtcNow(),
            next_attempt_at=UtcNow(),
            lease_owner=None,
            lease_until=None,
            settled_at=None,
        )
        .returning(StudyRevision.study_id)
    )
    return list(connection.execute(queued).scalars())


def _keep(connection: Connection, row: Any, step: _Step, *, fed_at: Any, actor: str) -> None:
    total = row.queued + step.queued
    values: dict[str, Any] = {"after_study_id": step.last, "queued": total, "fed_at": fed_at}
    if step.finished:
        values |= {"state": BackfillState.DONE.value, "finished_at": UtcNow()}
    connection.execute(update(Backfill).where(Backfill.id == row.id).values(values))
    if step.finished:
        backfills.audit(connection, row.id, "backfill finished", actor=actor, queued=total)
