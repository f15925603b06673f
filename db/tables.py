"""The ledger's work tables: objects, studies, their revisions and instances. Reports lie in `report_tables`.

Every state is held by a CHECK, every identity by a unique key, every claim by a partial index that stays as small
as the work left. The schema of a running site is made by `migrations`; a change here needs one there, and
`schema.check` tells when the two differ. Knows no query.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, UtcNow
from db.records import Lane, ObjectState, RevisionState


def one_of(column: str, values: type[StrEnum] | tuple[str, ...], name: str) -> CheckConstraint:
    """A CHECK that holds a text column to a fixed vocabulary."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=name)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that matter to one read path, on both engines."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


class Leased:
    """The columns of a row that workers claim. A lease is over when its time is, whoever holds it."""

    open_state: ClassVar[str]  # the state with work left
    id: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    attempts: Mapped[int] = mapped_column(default=0)  # failed ones
    crashes: Mapped[int] = mapped_column(default=0, server_default="0")  # leases that ran out under a worker
    next_attempt_at: Mapped[datetime] = mapped_column(default=UtcNow())
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())
    settled_at: Mapped[datetime | None]


class Object(Leased, Base):
    """One version of one stored object. A key whose bytes change becomes a new row."""

    __tablename__ = "object"
    open_state = ObjectState.PENDING.value

    id: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[str]
    key: Mapped[str]
    etag: Mapped[str]
    size: Mapped[int]  # bytes
    last_modified: Mapped[datetime]
    prefix: Mapped[str]  # the key up to its last slash; objects of a study tend to share it

    __table_args__ = (
        UniqueConstraint("bucket", "key", "etag"),
        one_of("state", ObjectState, "state"),
        partial("ix_object_pending", "attempts", "id", where="state = 'pending'"),
        partial("ix_object_pending_prefix", "bucket", "prefix", "last_modified", where="state = 'pending'"),
        Index("ix_object_state", "state"),
        Index("ix_object_settled_at", "settled_at"),
    )


class Study(Base):
    """A study as the headers of its objects tell it."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str]
    patient_id: Mapped[str]  # this and the next two: pseudonyms unless the site stores clear text
    patient_name: Mapped[str]
    accession_number: Mapped[str]
    study_date: Mapped[date | None]
    modality: Mapped[str]
    study_description: Mapped[str]
    lane: Mapped[str] = mapped_column(default="routine")
    first_arrival_at: Mapped[datetime]
    last_arrival_at: Mapped[datetime]
    dirty_since: Mapped[datetime | None]  # objects were settled since this time that no revision counts yet
    release_asked_at: Mapped[datetime | None]  # an operator wants it taken as it is
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())

    __table_args__ = (
        UniqueConstraint("study_instance_uid"),
        one_of("lane", Lane, "lane"),
        partial("ix_study_dirty", "id", where="dirty_since IS NOT NULL"),
        Index("ix_study_study_date", "study_date"),
        Index("ix_study_patient_id", "patient_id"),
        Index("ix_study_accession_number", "accession_number"),
    )


class StudyRevision(Leased, Base):
    """A study with a fixed set of inputs. The newest revision of a study is the one that is not superseded."""

    __tablename__ = "study_revision"
    open_state = RevisionState.WAITING.value

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    input_sha256: Mapped[str]  # see `release.input_hash`
    complete_because: Mapped[str]
    superseded_at: Mapped[datetime | None]
    lane: Mapped[str] = mapped_column(default=Lane.ROUTINE.value, server_default=Lane.ROUTINE.value)
    queued_at: Mapped[datetime | None] = mapped_column(default=UtcNow())  # since when it waits, or waited last
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))  # that settled it last

    __table_args__ = (
        UniqueConstraint("study_id", "input_sha256"),
        one_of("state", RevisionState, "state"),
        CheckConstraint("state <> 'waiting' OR superseded_at IS NULL", name="no_work_left_when_superseded"),
        CheckConstraint("state <> 'superseded' OR superseded_at IS NOT NULL", name="superseded_at_known"),
        one_of("lane", Lane, "lane"),
        partial("ix_study_revision_waiting", "attempts", "id", where="state = 'waiting'"),
        partial("ix_study_revision_lane", "lane", "attempts", "queued_at", "id", where="state = 'waiting'"),
        partial("ix_study_revision_suspect", "id", where="state = 'waiting' AND crashes > 0"),
        Index("ix_study_revision_settled_at", "settled_at"),
        partial("uq_study_revision_newest", "study_id", where="superseded_at IS NULL", unique=True),
        partial("ix_study_revision_newest_state", "state", "study_id", where="superseded_at IS NULL"),
    )


class Instance(Base):
    """What is known of the DICOM instance in an object, converted or not."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    object_id: Mapped[int] = mapped_column(ForeignKey("object.id"), unique=True)
    sop_instance_uid: Mapped[str] = mapped_column(index=True)
    sop_class_uid: Mapped[str]
    series_instance_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    photometric_interpretation: Mapped[str]
    rows: Mapped[int | None]
    columns: Mapped[int | None]
    modality: Mapped[str]
    body_part_examined: Mapped[str]
    projection: Mapped[str]
    projection_source: Mapped[str]
    projection_confidence: Mapped[float | None]  # the view classifier's, 0 to 1
    standing: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # among its study's images
    sha256: Mapped[str | None]  # of the object's bytes; known for every converted one
    notes: Mapped[list[str]]
    indication: Mapped[str] = mapped_column(default="", server_default="")  # free text; see `db.backgrounds`
    age: Mapped[float | None]  # years
    sex: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(default=UtcNow())


class RevisionInstance(Base):
    """The instances that a revision was made of: what came later belongs to the next one."""

    __tablename__ = "revision_instance"

    revision_id: Mapped[int] = mapped_column(ForeignKey("study_revision.id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True, index=True)
