"""Models, runs, reports with their provenance, corrections, the audit trail, settings.

Revision: 0002
Follows: 0001
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


REFUSE_POSTGRESQL = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit_event only grows'; END $$
"""


def where(condition: str) -> dict[str, Any]:
    """The options of an index over some rows only, for both engines."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Make the tables, those that are referred to first."""
    _make_model_version()
    _make_model_alias()
    _make_inference_run()
    _make_report()
    _make_finding()
    _make_report_input()
    _make_correction()
    _make_audit_event()
    _make_setting()
    _guard_audit_trail()


def _make_model_version() -> None:
    op.create_table(
        "model_version",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("device_uid", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("weights_sha256", sa.Text(), nullable=False),
        sa.Column("tokenizer_sha256", sa.Text(), nullable=False),
        sa.Column("preprocessing_sha256", sa.Text(), nullable=False),
        sa.Column("training_manifest_sha256", sa.Text(), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("criteria", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("license", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("length(weights_sha256) = 64", name="ck_model_version_weights_known"),
        sa.PrimaryKeyConstraint("id", name="pk_model_version"),
        sa.UniqueConstraint("name", "version", name="uq_model_version_name_version"),
    )


def _make_model_alias() -> None:
    op.create_table(
        "model_alias",
        sa.Column("id", BigId, nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name="fk_model_alias_model_version_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_model_alias"),
    )
    op.create_index("ix_model_alias_newest", "model_alias", ["alias", "id"])


def _make_inference_run() -> None:
    op.create_table(
        "inference_run",
        sa.Column("id", BigId, nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("torch_version", sa.Text(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("batch_size", BigId, nullable=False),
        sa.Column("decoding", sa.JSON(), nullable=False),
        sa.Column("decoding_sha256", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("finished_at", Time, nullable=True),
        sa.Column("studies", BigId, nullable=True),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name="fk_inference_run_model_version_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inference_run"),
    )


def _make_report() -> None:
    op.create_table(
        "report",
        sa.Column("id", BigId, nullable=False),
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("revision_id", BigId, nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("run_id", BigId, nullable=False),
        sa.Column("decoding_sha256", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("impression", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("concepts", sa.JSON(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("supersedes_id", BigId, nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'verified', 'corrected', 'rejected', 'superseded')", name="ck_report_status"
        ),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_version.id"], name="fk_report_model_version_id"),
        sa.ForeignKeyConstraint(["revision_id"], ["study_revision.id"], name="fk_report_revision_id"),
        sa.ForeignKeyConstraint(["run_id"], ["inference_run.id"], name="fk_report_run_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_report_study_id"),
        sa.ForeignKeyConstraint(["supersedes_id"], ["report.id"], name="fk_report_supersedes_id"),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
        sa.UniqueConstraint(
            "revision_id",
            "model_version_id",
            "decoding_sha256",
            name="uq_report_revision_id_model_version_id_decoding_sha256",
        ),
    )
    op.create_index("ix_report_created_at", "report", ["created_at"])
    op.create_index("ix_report_model_version_id", "report", ["model_version_id"])
    op.create_index("ix_report_study_id", "report", ["study_id"])
    op.create_index("uq_report_current", "report", ["study_id"], unique=True, **where("status <> 'superseded'"))


def _make_finding() -> None:
    op.create_table(
        "finding",
        sa.Column("id", BigId, nullable=False),
        sa.Column("report_id", BigId, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("polarity", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint("polarity IN ('present', 'absent', 'uncertain')", name="ck_finding_polarity"),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name="fk_finding_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_finding"),
    )
    op.create_index("ix_finding_label", "finding", ["label", "polarity"])
    op.create_index("ix_finding_report_id", "finding", ["report_id"])


def _make_report_input() -> None:
    op.create_table(
        "report_input",
        sa.Column("report_id", BigId, nullable=False),
        sa.Column("instance_id", BigId, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name="fk_report_input_instance_id"),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name="fk_report_input_report_id"),
        sa.PrimaryKeyConstraint("report_id", "instance_id", name="pk_report_input"),
    )
    op.create_index("ix_report_input_instance_id", "report_input", ["instance_id"])


def _make_correction() -> None:
    op.create_table(
        "correction",
        sa.Column("id", BigId, nullable=False),
        sa.Column("report_id", BigId, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("impression", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name="fk_correction_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_correction"),
    )
    op.create_index("ix_correction_report_id", "correction", ["report_id"])


def _make_audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", BigId, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_id", BigId, nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
    )
    op.create_index("ix_audit_event_entity", "audit_event", ["entity", "entity_id"])


def _make_setting() -> None:
    op.create_table(
        "setting",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_setting"),
    )


def _guard_audit_trail() -> None:
    """The trail only grows, whoever is at the keyboard."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSE_POSTGRESQL)
        op.execute(
            "CREATE TRIGGER audit_event_only_grows BEFORE UPDATE OR DELETE ON audit_event"
            " FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_event_no_{verb.lower()} BEFORE {verb} ON audit_event"
            " BEGIN SELECT RAISE(ABORT, 'audit_event only grows'); END"
        )
