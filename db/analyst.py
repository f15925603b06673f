"""The views that analysts read: their names and columns, as a promise. The migrations own their text.

`latest_report`      one row for each study that has a report: the current one. `notice` says that it is a draft
`study_status`       one row for each study: its state, and the reason where it has no report
`report_provenance`  one row for each report and instance: bytes (bucket, key, etag, SHA-256), weights and code;
                     its `status` is `shadow` where the report is one of a model on trial
`shadow_report`      one row for each report of a model on trial, beside the study's current one

A column may be added; none is renamed or removed within a major version. Knows no table.
"""

from sqlalchemy import Connection, inspect

VIEWS: dict[str, tuple[str, ...]] = {
    "latest_report": (
        *("study_instance_uid", "study_date", "modality", "study_description", "patient_id", "accession_number"),
        *("findings", "impression", "confidence", "status", "notice", "model_name", "model_version"),
        *("weights_sha256", "created_at", "report_id", "study_id", "revision_id", "input_count"),
    ),
    "study_status": (
        *("study_instance_uid", "study_date", "modality", "study_description", "patient_id", "accession_number"),
        *("state", "reason", "complete_because", "first_arrival_at", "last_arrival_at", "settled_at"),
        *("study_id", "revision_id"),
    ),
    "report_provenance": (
        *("report_id", "study_instance_uid", "sop_instance_uid", "bucket", "key", "etag", "sha256", "used"),
        *("reason", "model_name", "model_version", "weights_sha256", "device_uid", "code_version", "device"),
        *("torch_version", "dtype", "decoding_sha256", "status", "created_at", "study_id", "revision_id"),
        *("run_id", "instance_id"),
    ),
    "shadow_report": (
        *("study_instance_uid", "study_date", "modality", "study_description", "patient_id", "accession_number"),
        *("findings", "impression", "confidence", "notice", "model_name", "model_version", "weights_sha256"),
        *("created_at", "report_id", "study_id", "revision_id", "current_report_id", "current_findings"),
        *("current_impression",),
    ),
}


def missing(connection: Connection) -> list[str]:
    """The views and columns that the promise names and the database lacks."""
    inspector = inspect(connection)
    present = set(inspector.get_view_names())
    lacking = [f"view {name} is missing" for name in VIEWS if name not in present]
    for name in sorted(present & VIEWS.keys()):
        columns = {column["name"] for column in inspector.get_columns(name)}
        lacking += [f"view {name} lacks column {column}" for column in VIEWS[name] if column not in columns]
    return lacking
