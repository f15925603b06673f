"""What crosses the database layer's boundary: frozen facts in, frozen facts out. No session, no row objects.

Times are aware UTC datetimes. Ids are the ledger's own integers; they are what logs and messages may carry.
The identifying fields of `StudyFact` arrive as the caller wants them stored (pseudonyms unless the site
switched clear text on); this layer never transforms them.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any


class ObjectState(StrEnum):
    """Where an object stands. `pending` is the only state with work left."""

    PENDING = "pending"
    CONVERTED = "converted"
    SKIPPED = "skipped"
    FAILED = "failed"
    GONE = "gone"  # deleted or replaced before it was read; pending again when a listing finds it again


class RevisionState(StrEnum):
    """Where a study revision stands. `waiting` is the only state with work left."""

    WAITING = "waiting"
    REPORTED = "reported"
    SKIPPED = "skipped"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # a newer revision of the study was released before this one was worked on


class Lane(StrEnum):
    """Which work goes first. See `db.lanes` for how they share the workers."""

    URGENT = "urgent"
    ROUTINE = "routine"
    BACKFILL = "backfill"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedObject:
    """One object as a listing or an event names it. (bucket, key, etag) is its identity."""

    key: str
    etag: str
    size: int  # bytes
    last_modified: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectWork:
    """An object that was claimed for conversion."""

    object_id: int
    bucket: str
    key: str
    etag: str
    size: int
    last_modified: datetime
    attempts: int  # failed attempts before this one


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFact:
    """What an object's header says of its study."""

    study_instance_uid: str
    study_date: date | None
    modality: str
    study_description: str
    patient_id: str
    patient_name: str
    accession_number: str
    lane: Lane = Lane.ROUTINE  # a study goes by its most urgent object


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundFact:
    """What was known of a study before its images. Patient data, free text included: never log one."""

    indication: str = field(default="", repr=False)
    age: float | None = None  # years
    sex: str = ""  # M, F or O


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceFact:
    """What an object's header and its conversion say of the instance in it."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    photometric_interpretation: str
    rows: int | None
    columns: int | None
    body_part_examined: str
    projection: str  # frontal, lateral, other or unknown
    projection_source: str
    sha256: str | None  # of the object's bytes; None where they were not read to the end
    notes: tuple[str, ...] = ()  # what conversion had to decide or mend
    background: BackgroundFact = BackgroundFact()  # what the object tells of its study
    projection_confidence: float | None = None  # the view classifier's, 0 to 1
    standing: dict[str, Any] = field(default_factory=dict)  # among its study's images, as choosing needs it


NO_IMAGE = InstanceFact(  # an object that tells of its study, and of no image that can be read
    sop_instance_uid="",
    sop_class_uid="",
    series_instance_uid="",
    transfer_syntax_uid="",
    photometric_interpretation="",
    rows=None,
    columns=None,
    body_part_examined="",
    projection="unknown",
    projection_source="",
    sha256=None,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectOutcome:
    """What became of a claimed object."""

    object_id: int
    state: ObjectState  # PENDING: try again after `retry_in`
    reason: str = ""
    retry_in: float = 0.0  # seconds
    study: StudyFact | None = None  # as far as the header could be read
    instance: InstanceFact | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceRow:
    """A converted instance of a revision, as the captioning step needs it."""

    instance_id: int
    object_id: int
    bucket: str
    key: str
    etag: str
    size: int
    last_modified: datetime
    sop_instance_uid: str
    sha256: str
    modality: str
    body_part_examined: str
    projection: str
    projection_source: str
    rows: int
    columns: int
    notes: tuple[str, ...]
    standing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionWork:
    """A study revision that was claimed for captioning. Instances are in order of object id."""

    revision_id: int
    study_id: int
    attempts: int  # failed attempts before this one
    instances: tuple[InstanceRow, ...]
    background: BackgroundFact = BackgroundFact()  # of the study, as all its objects tell it


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingFact:
    """One statement of a report."""

    label: str
    polarity: str  # present, absent or uncertain
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFact:
    """One instance of the revision, and whether the report was made from it."""

    instance_id: int
    used: bool
    reason: str  # the role when used ("frontal"), else why not


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFact:
    """A report to be stored."""

    findings: str
    impression: str
    confidence: float  # mean log-probability per token
    statements: tuple[FindingFact, ...]
    inputs: tuple[InputFact, ...]
    concepts: dict[str, float] = field(default_factory=dict)
    background: dict[str, Any] = field(
        default_factory=dict
    )  # what the model was given of it, the text as a digest


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionOutcome:
    """What became of a claimed revision. A state of REPORTED has a report, every other state a reason."""

    revision_id: int
    state: RevisionState  # WAITING: try again after `retry_in`
    reason: str = ""
    retry_in: float = 0.0  # seconds
    report: ReportFact | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersionFact:
    """A model version as its manifest tells it. (name, version) is its identity; hashes must never change."""

    name: str
    version: str
    device_uid: str  # DICOM UID, new for each version
    architecture: str
    weights_sha256: str
    tokenizer_sha256: str
    preprocessing_sha256: str
    training_manifest_sha256: str
    git_commit: str  # of the code that trained it
    metrics: dict[str, Any]
    license: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceRunFact:
    """The circumstances that a run's reports share."""

    model_version_id: int
    worker: str  # host:pid
    device: str  # "cpu" or the GPU's name
    driver: str  # GPU driver version, "" on CPU
    torch_version: str
    dtype: str
    batch_size: int
    decoding: dict[str, Any]
    decoding_sha256: str
    code_version: str  # nightread's version and commit
    trigger: str  # run, live, backfill, reprocess


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """How many things ended in one state for one reason."""

    state: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Everything the ledger knows, counted. `objects` and `studies` have a number for each state, zeros included.

    A study counts under the state of its newest revision; one with none yet counts as `waiting`; a waiting
    study under a lease counts as `working`. So the sums are all objects and all studies there are.
    """

    objects: dict[str, int]  # converted, skipped, failed, waiting
    studies: dict[str, int]  # reported, skipped, failed, waiting, working
    object_reasons: tuple[Reason, ...]
    study_reasons: tuple[Reason, ...]
