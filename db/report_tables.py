"""The ledger's result tables: models, runs, reports, their findings, inputs and corrections, and the audit trail.

`audit_event` only grows: the migration adds triggers that refuse its change and removal. A report is never
changed but in its status; a shadow's is `superseded` from its beginning, so that nothing that asks for what is
current can meet it. Knows no query.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, UtcNow
from db.tables import one_of, partial

REPORT_STATUSES = ("draft", "verified", "corrected", "rejected", "superseded")
POLARITIES = ("present", "absent", "uncertain")


class ModelVersion(Base):
    """A model version as its manifest tells it. Its hashes never change."""

    __tablename__ = "model_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    device_uid: Mapped[str]
    architecture: Mapped[str]
    weights_sha256: Mapped[str]
    tokenizer_sha256: Mapped[str]
    preprocessing_sha256: Mapped[str]
    training_manifest_sha256: Mapped[str]
    git_commit: Mapped[str]
    metrics: Mapped[dict[str, Any]]
    criteria: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what it was judged by
    verdict: Mapped[str] = mapped_column(default="")
    license: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())

    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("length(weights_sha256) = 64", name="weights_known"),
    )


class ModelAlias(Base):
    """Who pointed an alias at which version, when and why. The newest row holds; no version: it points nowhere."""

    __tablename__ = "model_alias"

    id: Mapped[int] = mapped_column(primary_key=True)
    alias: Mapped[str]  # champion, shadow or previous
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())

    __table_args__ = (Index("ix_model_alias_newest", "alias", "id"),)


class Promotion(Base):
    """A version that was held against the champion by written criteria, and what came of it."""

    __tablename__ = "promotion"

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), index=True)
    champion_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))  # at that time
    actor: Mapped[str]
    criteria: Mapped[str]  # the file's text
    criteria_sha256: Mapped[str]
    passed: Mapped[bool]  # whether it met all of them
    promoted: Mapped[bool]
    reason: Mapped[str]  # why it was promoted without meeting them, "" else
    verdict: Mapped[dict[str, Any]]  # "lines": one for each criterion
    figures: Mapped[dict[str, Any]]  # of the candidate and the champion, as they were judged
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())


class InferenceRun(Base):
    """The circumstances that a run's reports share."""

    __tablename__ = "inference_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    worker: Mapped[str]
    device: Mapped[str]
    driver: Mapped[str]
    torch_version: Mapped[str]
    dtype: Mapped[str]
    batch_size: Mapped[int]
    decoding: Mapped[dict[str, Any]]
    decoding_sha256: Mapped[str]
    code_version: Mapped[str]
    trigger: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(default=UtcNow())
    finished_at: Mapped[datetime | None]
    studies: Mapped[int | None]  # settled by it, once finished
    timings: Mapped[dict[str, Any]] = mapped_column(default=dict)  # stage -> seconds


class Report(Base):
    """A draft report of a study revision by a model version with a decoding; a study has one that is current."""

    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    revision_id: Mapped[int] = mapped_column(ForeignKey("study_revision.id"))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("inference_run.id"))
    decoding_sha256: Mapped[str]
    findings: Mapped[str]
    impression: Mapped[str]
    confidence: Mapped[float]  # mean log-probability per token
    concepts: Mapped[dict[str, Any]]  # label -> probability from the images alone
    background: Mapped[dict[str, Any]] = mapped_column(
        default=dict, server_default="{}"
    )  # what the model was told
    status: Mapped[str] = mapped_column(default="draft")
    is_shadow: Mapped[bool] = mapped_column(default=False, server_default=false())  # never was current
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("report.id"))
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())

    __table_args__ = (
        UniqueConstraint("revision_id", "model_version_id", "decoding_sha256"),
        one_of("status", REPORT_STATUSES, "status"),
        partial("uq_report_current", "study_id", where="status <> 'superseded'", unique=True),
        Index("ix_report_study_id", "study_id"),
        Index("ix_report_model_version_id", "model_version_id"),
        Index("ix_report_created_at", "created_at"),
        partial("ix_report_verified", "id", where="status IN ('verified', 'corrected')"),
    )


class Finding(Base):
    """One statement of a report."""

    __tablename__ = "finding"

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), index=True)
    label: Mapped[str]
    polarity: Mapped[str]
    sentence: Mapped[str]

    __table_args__ = (
        one_of("polarity", POLARITIES, "polarity"),
        Index("ix_finding_label", "label", "polarity"),
    )


class ReportInput(Base):
    """One instance that was looked at for a report, with the identity of its bytes at that time."""

    __tablename__ = "report_input"

    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True)
    etag: Mapped[str]
    sha256: Mapped[str]
    used: Mapped[bool]
    reason: Mapped[str]  # the role when used, else why not

    __table_args__ = (Index("ix_report_input_instance_id", "instance_id"),)


class Correction(Base):
    """What a radiologist wrote instead."""

    __tablename__ = "correction"

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), index=True)
    author: Mapped[str]
    findings: Mapped[str]
    impression: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())


class AuditEvent(Base):
    """Something that changed what people may read. Append-only."""

    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())
    actor: Mapped[str]
    action: Mapped[str]
    entity: Mapped[str]  # the table, "" when the event is of many rows
    entity_id: Mapped[int | None]
    detail: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_audit_event_entity", "entity", "entity_id"),)


class Setting(Base):
    """A value that a database is bound to for good, such as a fingerprint of the pseudonyms' key."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())
