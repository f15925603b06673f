"""The fleet's tables: who works, what is paused, how far a listing and a back-fill have come.

None of them is needed to know what became of a study; all may be emptied while nothing runs. Knows no query.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, UtcNow
from db.tables import Leased, one_of, partial


class BackfillState(StrEnum):
    """Where a back-fill stands."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"


class TrainingState(StrEnum):
    """Where a training run stands. `queued` is the only state with work left, under a lease or not."""

    QUEUED = "queued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Worker(Base):
    """A process of the fleet, as it last told of itself."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)  # kind:host:pid
    kind: Mapped[str]  # intake, convert, caption, training or beat
    started_at: Mapped[datetime] = mapped_column(default=UtcNow())
    seen_at: Mapped[datetime] = mapped_column(default=UtcNow(), index=True)
    settled: Mapped[int] = mapped_column(default=0)  # objects, studies or events since it started
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)  # device, model, what it does now


class QueuePause(Base):
    """A queue whose work nobody claims until the row is gone."""

    __tablename__ = "queue_pause"

    queue: Mapped[str] = mapped_column(primary_key=True)  # convert or caption
    reason: Mapped[str]
    actor: Mapped[str]
    paused_at: Mapped[datetime] = mapped_column(default=UtcNow())


class Scan(Base):
    """A listing of a bucket, and how far it came: a later slice goes on after `after_key`."""

    __tablename__ = "scan"

    id: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[str]
    prefix: Mapped[str]
    after_key: Mapped[str] = mapped_column(default="")
    seen: Mapped[int] = mapped_column(default=0)  # objects
    new: Mapped[int] = mapped_column(default=0)  # of them, those that the ledger did not know
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime] = mapped_column(default=UtcNow())
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_scan_newest", "bucket", "prefix", "id"),)


class Backfill(Base):
    """A selection of studies that the current model is to see, and how far their queueing came."""

    __tablename__ = "backfill"

    id: Mapped[int] = mapped_column(primary_key=True)
    actor: Mapped[str]
    state: Mapped[str] = mapped_column(default=BackfillState.RUNNING.value)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    selection: Mapped[dict[str, Any]]  # dates, modality, whether studies are named one by one
    per_hour: Mapped[int | None]  # most studies to queue in an hour
    window: Mapped[str] = mapped_column(default="")  # HH:MM-HH:MM in UTC, "" for always
    after_study_id: Mapped[int] = mapped_column(default=0)
    queued: Mapped[int] = mapped_column(default=0)  # studies so far
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())
    fed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (one_of("state", BackfillState, "state"),)


class BackfillStudy(Base):
    """A study that a back-fill names by itself."""

    __tablename__ = "backfill_study"

    backfill_id: Mapped[int] = mapped_column(ForeignKey("backfill.id"), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)


class TrainingRun(Leased, Base):
    """A configuration that a training worker is to learn a model from."""

    __tablename__ = "training_run"
    open_state = TrainingState.QUEUED.value

    id: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[str]  # a TOML file on the training machine
    asked_by: Mapped[str] = mapped_column(default="operator", server_default="operator")  # or schedule
    promotes: Mapped[bool] = mapped_column(default=False, server_default=false())  # publish and judge it
    verified_reports: Mapped[int] = mapped_column(default=0, server_default="0")  # when it was asked for
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))  # that it published

    __table_args__ = (
        one_of("state", TrainingState, "state"),
        partial(
            "uq_training_run_scheduled",
            "asked_by",
            where="asked_by = 'schedule' AND state = 'queued'",
            unique=True,
        ),
        partial("ix_training_run_queued", "attempts", "id", where="state = 'queued'"),
    )
