"""What the status and the run page read: frozen rows, one for each failure and each study.

Identifying fields are as they are stored: pseudonyms unless the site switched clear text on.
"""

from dataclasses import dataclass
from datetime import date, datetime

from db.records import FindingFact


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCounts:
    """Where the studies stand, cheap enough for a progress bar. The states add up to `known`."""

    known: int
    reported: int
    skipped: int
    failed: int
    waiting: int  # those that are being worked on included


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Something that failed for good, until someone retries it."""

    kind: str  # object or study
    id: int  # the object's, or the study's
    bucket: str  # "" for a study
    key: str  # "" for a study
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryReport:
    """The study's current report, and who wrote it."""

    report_id: int
    revision_id: int  # an earlier one than the entry's when the newest revision has no report
    findings: str
    impression: str
    confidence: float  # mean log-probability per token
    status: str
    created_at: datetime
    model_name: str
    model_version: str
    weights_sha256: str
    supersedes_id: int | None  # the report that this one replaced
    statements: tuple[FindingFact, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryInput:
    """An object of the study, and what the current report took from it."""

    instance_id: int
    object_id: int
    bucket: str
    key: str
    state: str  # the object's
    sha256: str | None
    projection: str
    used: bool
    reason: str  # its role when used, else why not
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyEntry:
    """A study at its newest revision."""

    study_id: int
    revision_id: int | None  # None: none was released yet
    study_instance_uid: str
    study_date: date | None
    modality: str
    study_description: str
    state: str
    reason: str
    complete_because: str
    revision: int  # the how-manyth of the study
    report: EntryReport | None
    inputs: tuple[EntryInput, ...]
