"""Back-fills: which studies the current model is to see, told, counted, paused and resumed. `feeding` queues them.

A study is chosen when this model has not settled its newest revision, whether or not it has a report: a skip or a
failure of an older model is worth another look. Only what has an image counts, and what waits already is left
alone. Works inside the caller's transaction.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)

from db.base import UtcNow
from db.fleet_tables import Backfill, BackfillState, BackfillStudy
from db.leases import upsert
from db.pace import Pace, Window
from db.report_tables import AuditEvent, ModelVersion
from db.tables import RevisionInstance, Study, StudyRevision

PAGE = 1000  # studies named in one statement
NO_MODEL = 0  # the id of a model version that the registry does not know: it has seen nothing
SETTLED: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in ("reported", "skipped", "failed")]
NEWEST = StudyRevision.superseded_at.is_(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which studies are meant. Every part that is given must hold; one with dates leaves out undated studies."""

    first_date: date | None = None  # StudyDate, included
    last_date: date | None = None  # included
    modalities: tuple[str, ...] = ()
    named: bool = False  # only those in `backfill_study`

    def as_json(self) -> dict[str, Any]:
        """As the table keeps it."""
        return {
            "from": self.first_date.isoformat() if self.first_date else None,
            "to": self.last_date.isoformat() if self.last_date else None,
            "modalities": list(self.modalities),
            "named": self.named,
        }

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> "Selection":
        """The selection that `as_json` kept."""
        return cls(
            first_date=date.fromisoformat(kept["from"]) if kept["from"] else None,
            last_date=date.fromisoformat(kept["to"]) if kept["to"] else None,
            modalities=tuple(kept["modalities"]),
            named=kept["named"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionCount:
    """What a back-fill of a selection would do. The rest of `selected` has no image or is not released yet."""

    selected: int  # studies
    to_queue: int
    seen: int  # settled by this very model
    waiting: int  # in line already


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillEntry:
    """A back-fill as it stands."""

    id: int
    state: str
    actor: str
    model: str
    model_version_id: int
    selection: Selection
    pace: Pace
    queued: int  # studies so far
    created_at: datetime
    finished_at: datetime | None


def studies(connection: Connection, uids: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """Each Study Instance UID with the id of its study, None where the ledger does not know it."""
    source = iter(uids)
    while page := list(islice(source, PAGE)):
        rows = connection.execute(
            select(Study.study_instance_uid, Study.id).where(Study.study_instance_uid.in_(page))
        )
        known: dict[str, int] = {row.study_instance_uid: row.id for row in rows}
        yield from ((uid, known.get(uid)) for uid in page)


def count(
    connection: Connection, selection: Selection, *, model_version_id: int, named: Collection[int] = ()
) -> SelectionCount:
    """Count what a back-fill would queue, and what not. Reads the whole selection: seconds for an archive."""
    if not selection.named:
        return _count(connection, model_version_id, chosen(selection))
    total, ids = SelectionCount(selected=0, to_queue=0, seen=0, waiting=0), iter(named)
    while page := list(islice(ids, PAGE)):
        part = _count(connection, model_version_id, and_(chosen(selection), Study.id.in_(page)))
        total = SelectionCount(
            selected=total.selected + part.selected,
            to_queue=total.to_queue + part.to_queue,
            seen=total.seen + part.seen,
            waiting=total.waiting + part.waiting,
        )
    return total


def _count(connection: Connection, model_version_id: int, wanted: ColumnElement[bool]) -> SelectionCount:
    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    seen = and_(has_image(), StudyRevision.model_version_id == model_version_id, StudyRevision.state.in_(SETTLED))
    row = connection.execute(
        select(
            func.count(),
            number(unseen(model_version_id)),
            number(seen),
            number(StudyRevision.state == literal_column("'waiting'")),
        )
        .select_from(Study)
        .outerjoin(StudyRevision, and_(StudyRevision.study_id == Study.id, NEWEST))
        .where(wanted)
    ).one()
    return SelectionCount(selected=row[0], to_queue=row[1], seen=row[2], waiting=row[3])


def start(
    connection: Connection,
    selection: Selection,
    *,
    model_version_id: int,
    pace: Pace,
    actor: str,
    named: Iterable[int] = (),
) -> int:
    """The id of a new back-fill, running. `named` are the studies of a selection that names them."""
    terms = {
        "model_version_id": model_version_id,
        "selection": selection.as_json(),
        "per_hour": pace.per_hour,
        "window": str(pace.window or ""),
    }
    made = connection.execute(insert(Backfill).returning(Backfill.id), [{"actor": actor, **terms}])
    backfill_id = int(made.scalar_one())
    ids = iter(named)
    while page := list(islice(ids, PAGE)):
        rows = [{"backfill_id": backfill_id, "study_id": study_id} for study_id in page]
        connection.execute(upsert(connection, BackfillStudy).on_conflict_do_nothing(), rows)
    audit(connection, backfill_id, "backfill started", actor=actor, **terms)
    return backfill_id


def entries(connection: Connection, *, backfill_id: int | None = None) -> list[BackfillEntry]:
    """All back-fills, or the one with this id; the newest first."""
    wanted = (
        select(Backfill.__table__, ModelVersion.name, ModelVersion.version)
        .join(ModelVersion, ModelVersion.id == Backfill.model_version_id)
        .order_by(Backfill.id.desc())
    )
    if backfill_id is not None:
        wanted = wanted.where(Backfill.id == backfill_id)
    return [
        BackfillEntry(
            id=row.id,
            state=row.state,
            actor=row.actor,
            model=f"{row.name} {row.version}",
            model_version_id=row.model_version_id,
            selection=Selection.of_json(row.selection),
            pace=pace_of(row),
            queued=row.queued,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )
        for row in connection.execute(wanted)
    ]


def pause(connection: Connection, backfill_id: int, *, actor: str) -> bool:
    """Queue no more of a running back-fill; whether it was running. What waits already is still worked on."""
    turned = _turn(connection, backfill_id, BackfillState.RUNNING, BackfillState.PAUSED)
    if turned:
        audit(connection, backfill_id, "backfill paused", actor=actor)
    return turned


def resume(connection: Connection, backfill_id: int, *, actor: str) -> bool:
    """Let a paused back-fill go on where it was; whether it was paused."""
    turned = _turn(connection, backfill_id, BackfillState.PAUSED, BackfillState.RUNNING)
    if turned:
        audit(connection, backfill_id, "backfill resumed", actor=actor)
    return turned


def _turn(connection: Connection, backfill_id: int, was: BackfillState, now: BackfillState) -> bool:
    turned = (
        update(Backfill)
        .where(Backfill.id == backfill_id, Backfill.state == was.value)
        .values(state=now.value, fed_at=UtcNow())  # the time in between earns nothing
    )
    return bool(connection.execute(turned).rowcount)


def audit(connection: Connection, backfill_id: int, action: str, *, actor: str, **detail: Any) -> None:
    """Note what happened to a back-fill."""
    event = {"actor": actor, "action": action, "entity": "backfill", "entity_id": backfill_id, "detail": detail}
    connection.execute(insert(AuditEvent), [event])


def pace_of(row: Any) -> Pace:
    """The pace that a row of `backfill` holds."""
    return Pace(per_hour=row.per_hour, window=Window.parse(row.window))


def chosen(selection: Selection) -> ColumnElement[bool]:
    """Whether a study is of the selection, as far as its own columns tell."""
    conditions: list[ColumnElement[bool]] = []
    if selection.first_date is not None:
        conditions.append(Study.study_date >= selection.first_date)
    if selection.last_date is not None:
        conditions.append(Study.study_date <= selection.last_date)
    if selection.modalities:
        conditions.append(Study.modality.in_(selection.modalities))
    return and_(true(), *conditions)


def unseen(model_version_id: int) -> ColumnElement[bool]:
    """Whether a newest revision has ended, has an image, and was not settled by this model."""
    return and_(
        StudyRevision.state.in_(SETTLED),
        StudyRevision.model_version_id.is_distinct_from(model_version_id),
        has_image(),
    )


def has_image() -> ColumnElement[bool]:
    """Whether a revision was made of any instance: without one there is nothing to look at."""
    return exists(select(1).where(RevisionInstance.revision_id == StudyRevision.id).correlate(StudyRevision))
