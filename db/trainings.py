"""Training runs: asked for, leased to one worker, and how they ended. A run takes hours, so its lease is renewed.

The lease in SQL is what holds a run, never a message that stays unacknowledged: a broker ends those after half an
hour. Raises only `db.errors`. Knows no model; a configuration is a path on the training machine.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, literal_column, select, update

from db import leases
from db.engine import reading, writing
from db.fleet_tables import TrainingRun, TrainingState
from db.leases import Swept, upsert
from db.report_tables import AuditEvent, Report

VERIFIED = Report.status.in_([literal_column("'verified'"), literal_column("'corrected'")])


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingWork:
    """A run that was claimed."""

    run_id: int
    config: str
    promotes: bool  # what it makes is published and judged
    created_at: datetime
    model_version_id: int | None  # what an earlier attempt published


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEntry:
    """A run as it stands."""

    run_id: int
    config: str
    asked_by: str
    promotes: bool
    model_version_id: int | None
    state: str
    reason: str
    worker: str | None
    created_at: datetime
    settled_at: datetime | None


class Trainings:
    """The training runs of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def request(self, config: str, *, actor: str, promotes: bool = False) -> int:
        """The id of a new run, for the next training worker that is free. `promotes`: publish and judge it too."""
        with writing(self._engine) as connection:
            made = insert(TrainingRun).returning(TrainingRun.id)
            row = _row(config, "operator", promotes=promotes, verified=_verified(connection))
            run_id = int(connection.execute(made, [row]).scalar_one())
            _audit(connection, run_id, config, actor)
        return run_id

    def request_due(self, config: str, *, after: int, actor: str) -> int | None:
        """The id of a scheduled run, queued now since `after` more reports are verified than at the last one.

        None: there are fewer, or a scheduled run waits or is at work already. Two that ask at once queue one.
        """
        with writing(self._engine) as connection:
            verified = _verified(connection)
            if verified - _learnt(connection) < after:
                return None
            row = _row(config, "schedule", promotes=True, verified=verified)
            made = upsert(connection, TrainingRun).on_conflict_do_nothing().returning(TrainingRun.id)
            run_id = connection.execute(made, [row]).scalar_one_or_none()
            if run_id is not None:
                _audit(connection, run_id, config, actor)
        return run_id

    def unlearnt(self) -> int:
        """How many more reports are verified or corrected than when the last run was asked for."""
        with reading(self._engine) as connection:
            return unlearnt(connection)

    def published(self, work: TrainingWork, *, owner: str, model_version_id: int) -> None:
        """A run's model is registered, if `owner` still holds the run."""
        with writing(self._engine) as connection:
            if leases.held(connection, TrainingRun, TrainingRun.id, ids=[work.run_id], owner=owner):
                made = update(TrainingRun).where(TrainingRun.id == work.run_id)
                connection.execute(made.values(model_version_id=model_version_id))

    def has_work(self) -> bool:
        """Whether a run waits for a worker."""
        with reading(self._engine) as connection:
            return connection.execute(leases.free_rows(TrainingRun).limit(1)).first() is not None

    def claim(self, *, owner: str, lease_seconds: float) -> TrainingWork | None:
        """Lease the oldest run that waits; None when none does."""
        with writing(self._engine) as connection:
            columns = (TrainingRun.id, TrainingRun.config, TrainingRun.promotes, TrainingRun.created_at)
            rows = leases.claim(
                connection,
                TrainingRun,
                *(*columns, TrainingRun.model_version_id),
                owner=owner,
                limit=1,
                lease_seconds=lease_seconds,
            )
        if not rows:
            return None
        (row,) = rows
        return TrainingWork(
            run_id=row.id,
            config=row.config,
            promotes=row.promotes,
            created_at=row.created_at,
            model_version_id=row.model_version_id,
        )

    def renew(self, work: TrainingWork, *, owner: str, lease_seconds: float) -> bool:
        """Hold the run for longer; False when it is another worker's by now."""
        with writing(self._engine) as connection:
            return (
                leases.renew(connection, TrainingRun, [work.run_id], owner=owner, lease_seconds=lease_seconds) > 0
            )

    def settle(self, work: TrainingWork, *, owner: str, state: TrainingState, reason: str = "") -> None:
        """Write how a run ended, if `owner` still holds it."""
        with writing(self._engine) as connection:
            if leases.held(connection, TrainingRun, TrainingRun.id, ids=[work.run_id], owner=owner):
                leases.settle(connection, TrainingRun, [(work.run_id, state.value, reason)])

    def let_go(self, work: TrainingWork, *, owner: str, reason: str) -> None:
        """Give a run back, to be begun again by whoever is free."""
        with writing(self._engine) as connection:
            if leases.held(connection, TrainingRun, TrainingRun.id, ids=[work.run_id], owner=owner):
                leases.defer(connection, TrainingRun, [(work.run_id, 0.0, reason)])

    def sweep(self, *, most_crashes: int) -> Swept:
        """Free runs whose worker was lost; what lost `most_crashes` workers is given up."""
        with writing(self._engine) as connection:
            return leases.sweep(connection, TrainingRun, most=most_crashes)

    def entries(self, limit: int, *, model_version_id: int | None = None) -> list[TrainingEntry]:
        """The newest runs first; with `model_version_id`, those that made it."""
        newest = select(TrainingRun.__table__).order_by(TrainingRun.id.desc()).limit(limit)
        if model_version_id is not None:
            newest = newest.where(TrainingRun.model_version_id == model_version_id)
        with reading(self._engine) as connection:
            return [
                TrainingEntry(
                    run_id=row.id,
                    config=row.config,
                    asked_by=row.asked_by,
                    promotes=row.promotes,
                    model_version_id=row.model_version_id,
                    state=row.state,
                    reason=row.reason,
                    worker=row.lease_owner,
                    created_at=row.created_at,
                    settled_at=row.settled_at,
                )
                for row in connection.execute(newest)
            ]


def unlearnt(connection: Connection) -> int:
    """How many more reports are verified or corrected than when the last run was asked for."""
    return max(0, _verified(connection) - _learnt(connection))


def _row(config: str, asked_by: str, *, promotes: bool, verified: int) -> dict[str, Any]:
    return {
        "config": config,
        "state": TrainingState.QUEUED.value,
        "asked_by": asked_by,
        "promotes": promotes,
        "verified_reports": verified,
    }


def _verified(connection: Connection) -> int:
    """How many reports a person has verified or corrected; a partial index answers."""
    return connection.execute(select(func.count()).select_from(Report).where(VERIFIED)).scalar_one()


def _learnt(connection: Connection) -> int:
    """How many there were when the last run was asked for."""
    newest = select(TrainingRun.verified_reports).order_by(TrainingRun.id.desc()).limit(1)
    return connection.execute(newest).scalar_one_or_none() or 0


def _audit(connection: Connection, run_id: int, config: str, actor: str) -> None:
    event: dict[str, Any] = {"actor": actor, "action": "training asked", "entity": "training_run"}
    connection.execute(insert(AuditEvent), [event | {"entity_id": run_id, "detail": {"config": config}}])
