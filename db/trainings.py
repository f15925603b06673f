"""Training runs: asked for, leased to one worker, and how they ended. A run takes hours, so its lease is renewed.

The lease in SQL is what holds a run, never a message that stays unacknowledged: a broker ends those after half an
hour. Raises only `db.errors`. Knows no model; a configuration is a path on the training machine.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from db import leases
from db.engine import reading, writing
from db.fleet_tables import TrainingRun, TrainingState
from db.leases import Swept
from db.report_tables import AuditEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingWork:
    """A run that was claimed."""

    run_id: int
    config: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEntry:
    """A run as it stands."""

    run_id: int
    config: str
    state: str
    reason: str
    worker: str | None
    created_at: datetime
    settled_at: datetime | None


class Trainings:
    """The training runs of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def request(self, config: str, *, actor: str) -> int:
        """The id of a new run, for the next training worker that is free."""
        with writing(self._engine) as connection:
            made = insert(TrainingRun).returning(TrainingRun.id)
            row = {"config": config, "state": TrainingState.QUEUED.value}
            run_id = connection.execute(made, [row]).scalar_one()
            event: dict[str, Any] = {"actor": actor, "action": "training asked", "entity": "training_run"}
            connection.execute(insert(AuditEvent), [event | {"entity_id": run_id, "detail": {"config": config}}])
        return run_id

    def has_work(self) -> bool:
        """Whether a run waits for a worker."""
        with reading(self._engine) as connection:
            return connection.execute(leases.free_rows(TrainingRun).limit(1)).first() is not None

    def claim(self, *, owner: str, lease_seconds: float) -> TrainingWork | None:
        """Lease the oldest run that waits; None when none does."""
        with writing(self._engine) as connection:
            columns = (TrainingRun.id, TrainingRun.config)
            rows = leases.claim(
                connection, TrainingRun, *columns, owner=owner, limit=1, lease_seconds=lease_seconds
            )
        return TrainingWork(run_id=rows[0].id, config=rows[0].config) if rows else None

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

    def entries(self, limit: int) -> list[TrainingEntry]:
        """The newest runs first."""
        newest = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [
                TrainingEntry(
                    run_id=row.id,
                    config=row.config,
                    state=row.state,
                    reason=row.reason,
                    worker=row.lease_owner,
                    created_at=row.created_at,
                    settled_at=row.settled_at,
                )
                for row in connection.execute(newest)
            ]
