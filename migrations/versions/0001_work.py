"""Objects, studies, their revisions and instances.

Revision: 0001
Follows: nothing
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


def where(condition: str) -> dict[str, Any]:
    """The options of an index over some rows only, for both engines."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Make the tables, those that are referred to first."""
    _make_object()
    _make_study()
    _make_study_revision()
    _make_instance()
    _make_revision_instance()


def _make_object() -> None:
    op.create_table(
        "object",
        sa.Column("id", BigId, nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("size", BigId, nullable=False),
        sa.Column("last_modified", Time, nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", BigId, nullable=False),
        sa.Column("next_attempt_at", Time, nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Time, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("settled_at", Time, nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'converted', 'skipped', 'failed', 'gone')", name="ck_object_state"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_object"),
        sa.UniqueConstraint("bucket", "key", "etag", name="uq_object_bucket_key_etag"),
    )
    op.create_index("ix_object_pending", "object", ["attempts", "id"], **where("state = 'pending'"))
    op.create_index("ix_object_pending_prefix", "object", ["bucket", "prefix"], **where("state = 'pending'"))
    op.create_index("ix_object_state", "object", ["state"])


def _make_study() -> None:
    op.create_table(
        "study",
        sa.Column("id", BigId, nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("study_description", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("first_arrival_at", Time, nullable=False),
        sa.Column("last_arrival_at", Time, nullable=False),
        sa.Column("dirty_since", Time, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("lane IN ('urgent', 'routine', 'backfill')", name="ck_study_lane"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_instance_uid", name="uq_study_study_instance_uid"),
    )
    op.create_index("ix_study_accession_number", "study", ["accession_number"])
    op.create_index("ix_study_dirty", "study", ["id"], **where("dirty_since IS NOT NULL"))
    op.create_index("ix_study_patient_id", "study", ["patient_id"])
    op.create_index("ix_study_study_date", "study", ["study_date"])


def _make_study_revision() -> None:
    op.create_table(
        "study_revision",
        sa.Column("id", BigId, nullable=False),
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("input_sha256", sa.Text(), nullable=False),
        sa.Column("complete_because", sa.Text(), nullable=False),
        sa.Column("superseded_at", Time, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", BigId, nullable=False),
        sa.Column("next_attempt_at", Time, nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Time, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("settled_at", Time, nullable=True),
        sa.CheckConstraint(
            "state <> 'superseded' OR superseded_at IS NOT NULL", name="ck_study_revision_superseded_at_known"
        ),
        sa.CheckConstraint(
            "state <> 'waiting' OR superseded_at IS NULL", name="ck_study_revision_no_work_left_when_superseded"
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'reported', 'skipped', 'failed', 'superseded')", name="ck_study_revision_state"
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_study_revision_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_study_revision"),
        sa.UniqueConstraint("study_id", "input_sha256", name="uq_study_revision_study_id_input_sha256"),
    )
    op.create_index(
        "ix_study_revision_newest_state", "study_revision", ["state", "study_id"], **where("superseded_at IS NULL")
    )
    op.create_index(
        "ix_study_revision_waiting", "study_revision", ["attempts", "id"], **where("state = 'waiting'")
    )
    op.create_index(
        "uq_study_revision_newest", "study_revision", ["study_id"], unique=True, **where("superseded_at IS NULL")
    )


def _make_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", BigId, nullable=False),
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("object_id", BigId, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("photometric_interpretation", sa.Text(), nullable=False),
        sa.Column("rows", BigId, nullable=True),
        sa.Column("columns", BigId, nullable=True),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("body_part_examined", sa.Text(), nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("projection_source", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["object.id"], name="fk_instance_object_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_instance_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint("object_id", name="uq_instance_object_id"),
    )
    op.create_index("ix_instance_sop_instance_uid", "instance", ["sop_instance_uid"])
    op.create_index("ix_instance_study_id", "instance", ["study_id"])


def _make_revision_instance() -> None:
    op.create_table(
        "revision_instance",
        sa.Column("revision_id", BigId, nullable=False),
        sa.Column("instance_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name="fk_revision_instance_instance_id"),
        sa.ForeignKeyConstraint(["revision_id"], ["study_revision.id"], name="fk_revision_instance_revision_id"),
        sa.PrimaryKeyConstraint("revision_id", "instance_id", name="pk_revision_instance"),
    )
    op.create_index("ix_revision_instance_instance_id", "revision_instance", ["instance_id"])
