"""Lanes, lost leases, operators' wishes, and the fleet's own tables.

Revision: 0004
Follows: 0003
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)
MODEL_KEY = "fk_study_revision_model_version_id"
LANES = "lane IN ('urgent', 'routine', 'backfill')"


def where(condition: str) -> dict[str, Any]:
    """The options of an index over some rows only, for both engines."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Widen the tables there are, then make the fleet's."""
    _widen_object()
    _widen_study()
    _widen_study_revision()
    _make_worker()
    _make_queue_pause()
    _make_scan()
    _make_backfill()
    _make_training_run()


def _widen_object() -> None:
    op.add_column("object", sa.Column("crashes", BigId, nullable=False, server_default="0"))
    op.drop_index("ix_object_pending_prefix", "object")
    columns = ["bucket", "prefix", "last_modified"]
    op.create_index("ix_object_pending_prefix", "object", columns, **where("state = 'pending'"))
    op.create_index("ix_object_settled_at", "object", ["settled_at"])


def _widen_study() -> None:
    op.add_column("study", sa.Column("release_asked_at", Time, nullable=True))


def _widen_study_revision() -> None:
    for column in (
        f"crashes {_sql(BigId)} NOT NULL DEFAULT 0",
        f"lane TEXT NOT NULL DEFAULT 'routine' CONSTRAINT ck_study_revision_lane CHECK ({LANES})",
        f"queued_at {_sql(Time)}",
        f"model_version_id {_sql(BigId)} CONSTRAINT {MODEL_KEY} REFERENCES model_version (id)",
    ):  # as text: SQLite takes a constraint with its column, and would else make the whole table anew
        op.execute(f"ALTER TABLE study_revision ADD COLUMN {column}")
    columns = ["lane", "attempts", "queued_at", "id"]
    op.create_index("ix_study_revision_lane", "study_revision", columns, **where("state = 'waiting'"))
    suspects = where("state = 'waiting' AND crashes > 0")
    op.create_index("ix_study_revision_suspect", "study_revision", ["id"], **suspects)
    op.create_index("ix_study_revision_settled_at", "study_revision", ["settled_at"])
    op.execute("UPDATE study_revision SET queued_at = created_at WHERE state = 'waiting'")
    op.execute(
        "UPDATE study_revision SET model_version_id ="
        " (SELECT max(report.model_version_id) FROM report WHERE report.revision_id = study_revision.id)"
    )


def _sql(kind: sa.types.TypeEngine[Any]) -> str:
    return kind.compile(op.get_bind().dialect)


def _make_worker() -> None:
    op.create_table(
        "worker",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("seen_at", Time, nullable=False),
        sa.Column("settled", BigId, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_worker"),
    )
    op.create_index("ix_worker_seen_at", "worker", ["seen_at"])


def _make_queue_pause() -> None:
    op.create_table(
        "queue_pause",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("paused_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("queue", name="pk_queue_pause"),
    )


def _make_scan() -> None:
    op.create_table(
        "scan",
        sa.Column("id", BigId, nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("after_key", sa.Text(), nullable=False),
        sa.Column("seen", BigId, nullable=False),
        sa.Column("new", BigId, nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Time, nullable=True),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("finished_at", Time, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_scan"),
    )
    op.create_index("ix_scan_newest", "scan", ["bucket", "prefix", "id"])


def _make_backfill() -> None:
    op.create_table(
        "backfill",
        sa.Column("id", BigId, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("per_hour", BigId, nullable=True),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("after_study_id", BigId, nullable=False),
        sa.Column("queued", BigId, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("fed_at", Time, nullable=True),
        sa.Column("finished_at", Time, nullable=True),
        sa.CheckConstraint("state IN ('running', 'paused', 'done')", name="ck_backfill_state"),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_version.id"], name="fk_backfill_model_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_backfill"),
    )
    op.create_table(
        "backfill_study",
        sa.Column("backfill_id", BigId, nullable=False),
        sa.Column("study_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfill.id"], name="fk_backfill_study_backfill_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_backfill_study_study_id"),
        sa.PrimaryKeyConstraint("backfill_id", "study_id", name="pk_backfill_study"),
    )


def _make_training_run() -> None:
    op.create_table(
        "training_run",
        sa.Column("id", BigId, nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", BigId, nullable=False),
        sa.Column("crashes", BigId, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", Time, nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Time, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("settled_at", Time, nullable=True),
        sa.CheckConstraint("state IN ('queued', 'succeeded', 'failed')", name="ck_training_run_state"),
        sa.PrimaryKeyConstraint("id", name="pk_training_run"),
    )
    op.create_index("ix_training_run_queued", "training_run", ["attempts", "id"], **where("state = 'queued'"))
