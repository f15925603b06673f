"""What analysts read: the current report of each study, where each study stands, where each report comes from.

Revision: 0003
Follows: 0002
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LATEST_REPORT = """
CREATE VIEW latest_report AS
SELECT s.study_instance_uid, s.study_date, s.modality, s.study_description,
       s.patient_id, s.accession_number,
       r.findings, r.impression, r.confidence, r.status,
       CASE r.status WHEN 'draft' THEN 'DRAFT - for review by a radiologist' ELSE '' END AS notice,
       m.name AS model_name, m.version AS model_version, m.weights_sha256, r.created_at,
       r.id AS report_id, s.id AS study_id, r.revision_id,
       (SELECT count(*) FROM report_input i WHERE i.report_id = r.id AND i.used) AS input_count
FROM report r
JOIN study s ON s.id = r.study_id
JOIN model_version m ON m.id = r.model_version_id
WHERE r.status <> 'superseded'
"""

STUDY_STATUS = """
CREATE VIEW study_status AS
SELECT s.study_instance_uid, s.study_date, s.modality, s.study_description,
       s.patient_id, s.accession_number,
       coalesce(v.state, 'waiting') AS state, coalesce(v.reason, '') AS reason,
       coalesce(v.complete_because, '') AS complete_because,
       s.first_arrival_at, s.last_arrival_at, v.settled_at,
       s.id AS study_id, v.id AS revision_id
FROM study s
LEFT JOIN study_revision v ON v.study_id = s.id AND v.superseded_at IS NULL
"""

REPORT_PROVENANCE = """
CREATE VIEW report_provenance AS
SELECT r.id AS report_id, s.study_instance_uid, n.sop_instance_uid,
       o.bucket, o.key, i.etag, i.sha256, i.used, i.reason,
       m.name AS model_name, m.version AS model_version, m.weights_sha256, m.device_uid,
       u.code_version, u.device, u.torch_version, u.dtype, r.decoding_sha256,
       r.status, r.created_at, r.study_id, r.revision_id, r.run_id, i.instance_id
FROM report r
JOIN study s ON s.id = r.study_id
JOIN model_version m ON m.id = r.model_version_id
JOIN inference_run u ON u.id = r.run_id
JOIN report_input i ON i.report_id = r.id
JOIN instance n ON n.id = i.instance_id
JOIN object o ON o.id = n.object_id
"""


def upgrade() -> None:
    """Make the views."""
    for view in (LATEST_REPORT, STUDY_STATUS, REPORT_PROVENANCE):
        op.execute(view)
