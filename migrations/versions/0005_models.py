"""Promotions, reports of a shadow, an alias that points nowhere, training runs that publish.

Revision: 0005
Follows: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)
VERIFIED = sa.text("status IN ('verified', 'corrected')")
SCHEDULED = sa.text("asked_by = 'schedule' AND state = 'queued'")
RUN_KEY = "fk_training_run_model_version_id"

REPORT_PROVENANCE = """
VIEW report_provenance AS
SELECT r.id AS report_id, s.study_instance_uid, n.sop_instance_uid,
       o.bucket, o.key, i.etag, i.sha256, i.used, i.reason,
       m.name AS model_name, m.version AS model_version, m.weights_sha256, m.device_uid,
       u.code_version, u.device, u.torch_version, u.dtype, r.decoding_sha256,
       CASE WHEN r.is_shadow THEN 'shadow' ELSE r.status END AS status,
       r.created_at, r.study_id, r.revision_id, r.run_id, i.instance_id
FROM report r
JOIN study s ON s.id = r.study_id
JOIN model_version m ON m.id = r.model_version_id
JOIN inference_run u ON u.id = r.run_id
JOIN report_input i ON i.report_id = r.id
JOIN instance n ON n.id = i.instance_id
JOIN object o ON o.id = n.object_id
"""

SHADOW_REPORT = """
VIEW shadow_report AS
SELECT s.study_instance_uid, s.study_date, s.modality, s.study_description,
       s.patient_id, s.accession_number,
       r.findings, r.impression, r.confidence,
       'SHADOW DRAFT - of a model on trial, not the study''s report' AS notice,
       m.name AS model_name, m.version AS model_version, m.weights_sha256, r.created_at,
       r.id AS report_id, s.id AS study_id, r.revision_id,
       c.id AS current_report_id, c.findings AS current_findings, c.impression AS current_impression
FROM report r
JOIN study s ON s.id = r.study_id
JOIN model_version m ON m.id = r.model_version_id
LEFT JOIN report c ON c.study_id = r.study_id AND c.revision_id = r.revision_id AND c.status <> 'superseded'
WHERE r.is_shadow
"""


def upgrade() -> None:
    """Widen the tables there are, make the new one, and tell the views of the shadow."""
    op.add_column("report", sa.Column("is_shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_report_verified", "report", ["id"], postgresql_where=VERIFIED, sqlite_where=VERIFIED)
    with op.batch_alter_table("model_alias") as table:
        table.alter_column("model_version_id", existing_type=BigId, nullable=True)
    _make_promotion()
    _widen_training_run()
    if op.get_bind().dialect.name == "postgresql":  # in place: whoever may read it still may
        op.execute(f"CREATE OR REPLACE {REPORT_PROVENANCE}")
    else:
        op.execute("DROP VIEW report_provenance")
        op.execute(f"CREATE {REPORT_PROVENANCE}")
    op.execute(f"CREATE {SHADOW_REPORT}")


def _make_promotion() -> None:
    op.create_table(
        "promotion",
        sa.Column("id", BigId, nullable=False),
        sa.Column("candidate_id", BigId, nullable=False),
        sa.Column("champion_id", BigId, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("criteria_sha256", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("promoted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["model_version.id"], name="fk_promotion_candidate_id"),
        sa.ForeignKeyConstraint(["champion_id"], ["model_version.id"], name="fk_promotion_champion_id"),
        sa.PrimaryKeyConstraint("id", name="pk_promotion"),
    )
    op.create_index("ix_promotion_candidate_id", "promotion", ["candidate_id"])


def _widen_training_run() -> None:
    run = "training_run"
    op.add_column(run, sa.Column("asked_by", sa.Text(), nullable=False, server_default="operator"))
    op.add_column(run, sa.Column("promotes", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(run, sa.Column("verified_reports", BigId, nullable=False, server_default="0"))
    kind = BigId.compile(op.get_bind().dialect)
    # As text: SQLite takes a constraint with its column, and would else make the whole table anew.
    op.execute(
        f"ALTER TABLE {run} ADD COLUMN model_version_id {kind} CONSTRAINT {RUN_KEY} REFERENCES model_version (id)"
    )
    op.create_index(
        "uq_training_run_scheduled",
        run,
        ["asked_by"],
        unique=True,
        postgresql_where=SCHEDULED,
        sqlite_where=SCHEDULED,
    )
