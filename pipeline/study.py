"""The vocabulary that the whole system speaks: what a stored object, a header, a view, a study and a report are.

Everything here is frozen and keyword-only. Identifiers are DICOM's own keywords in snake_case. Values that come
from a header are as the header gave them, stripped; an absent value is "" (text) or None (numbers, dates).
This module knows no pixels' origin, no SQL and no model.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]


class Projection(StrEnum):
    """From where the X-rays came, as far as a captioner cares."""

    FRONTAL = "frontal"
    LATERAL = "lateral"
    OTHER = "other"  # the header says that it is neither: oblique, decubitus
    UNKNOWN = "unknown"


VIEW_CLASSIFIER = "ViewClassifier"  # in place of a keyword where the pixels told a projection


class Polarity(StrEnum):
    """What a sentence says of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRef:
    """One stored object as a listing names it."""

    key: str
    etag: str  # changes when the bytes change; S3's ETag, or a folder's modification time and size
    size: int  # bytes
    last_modified: datetime  # aware, UTC


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What was known before the images were made. Patient data, which may name somebody: never log one."""

    indication: str = field(default="", repr=False)  # why the study was asked for, in a line of free text
    age: float | None = None  # years
    sex: str = ""  # DICOM's "M", "F" or "O"


class Processing(StrEnum):
    """What was done to an exposure before it was stored, as far as a header tells."""

    STANDARD = "standard"  # for a reader's eyes; also where nothing is told
    COLOUR = "coloured"  # a copy for people
    COMPANION = "companion"  # made beside the standard image: edges or lines enhanced, bones subtracted
    UNPROCESSED = "unprocessed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How an instance stands among its study's: what the header tells, and what the site's rules make of it."""

    beam: str = ""  # "PA" or "AP"; "" when not told, and for every other projection
    processing: Processing = Processing.STANDARD
    acquired: str = ""  # the device's own clock as YYYYMMDDHHMMSS, to be compared only; "" when not told
    rule: str = ""  # the site's rule that spoke
    preference: int = 0  # 1: preferred by that rule, -1: avoided
    models: tuple[str, ...] = ()  # the only ones that may use it, by that rule; () is any
    rules_sha256: str = ""  # of the rules that were asked, whether or not one spoke


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The facts of a DICOM header that decide what happens to an object. Holds patient data: never log one."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    photometric_interpretation: str = ""
    rows: int | None = None
    columns: int | None = None
    bits_stored: int | None = None
    body_part_examined: str = ""
    projection: Projection = Projection.UNKNOWN
    projection_source: str = ""  # the DICOM keyword that told the projection, or "ViewClassifier"; "" when unknown
    projection_confidence: float | None = (
        None  # what the view classifier gives the projection; None: it was not asked
    )
    standing: Standing = Standing()
    study_date: date | None = None
    study_description: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    background: Background = Background()


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a model wants its views; part of its manifest. Two equal ones give equal views from equal bytes."""

    height: int
    width: int
    fit: str  # "squash": stretch to height×width; "letterbox": keep the aspect ratio, pad with black
    resampling: str = "bilinear"  # antialiased, as torchvision's; "box": the mean of what a pixel covers


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One model-ready image."""

    pixels: Pixels  # [height, width] uint8, 0 is black (air), displayed as MONOCHROME2
    notes: tuple[str, ...] = ()  # what conversion had to decide or mend, e.g. "no window: 0.5–99.5 percentile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """The object became a view."""

    header: Header
    view: View
    sha256: str  # hex digest of the object's bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The object did not become a view: `skipped` when it is not for us, `failed` when it should have been."""

    failed: bool
    reason: str  # for a person, without patient data
    header: Header | None = None  # as far as it could be read


Conversion: TypeAlias = Converted | Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a captioner is given: views, what was known, and a key of the caller's to tell the outcomes apart."""

    key: int
    frontal: Pixels | None
    lateral: Pixels | None
    background: Background = Background()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One statement of a report."""

    label: str
    polarity: Polarity
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A draft for a radiologist."""

    findings: str  # the FINDINGS section, sentence case
    impression: str  # the IMPRESSION section, sentence case
    confidence: float  # mean log-probability per generated token, natural logarithm, <= 0
    statements: tuple[Finding, ...] = ()
    concepts: dict[str, float] = field(default_factory=dict)  # label -> probability from the image alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """The study has a report."""

    key: int
    report: Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """The model does not accept this study."""

    key: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryLater:
    """Something around the study failed; the study may succeed later."""

    key: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dead:
    """The study broke the model by itself, alone in its batch."""

    key: int
    reason: str


Outcome: TypeAlias = Reported | Skipped | RetryLater | Dead
