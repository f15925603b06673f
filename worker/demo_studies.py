"""The studies of the demo archive: ordinary ones in every way of storing, and one of each surprise.

A study is made only when it is asked for: few images are in memory at a time. Which transfer syntax, depth,
VOI and view tag a study gets follows from its number, so that a small archive shows many of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.anatomy import Anatomy, invent
from pipeline.phantom import radiograph
from pipeline.phantom_others import ct_slice, hip
from worker.demo_objects import Gray, Patient, Storage, Told, Voi, image, text_report, uid

Fate: TypeAlias = Literal["reported", "skipped", "failed"]
Projection: TypeAlias = Literal["frontal", "lateral"]

_SURNAMES = ("PHANTOM", "EXAMPLE", "SAMPLE", "NOBODY", "INVENTED", "FICTION", "MOCKUP", "PLACEHOLDER")
_GIVEN = ("ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL", "INDIA", "JULIETT", "KILO")
_STORED = (  # transfer syntax and bits; those that store raw pixels come with few pixels
    (ImplicitVRLittleEndian, 12),
    (JPEGLSLossless, 12),
    (JPEG2000Lossless, 14),
    (ExplicitVRLittleEndian, 8),
    (JPEGLosslessSV1, 12),
    (JPEGBaseline8Bit, 8),
    (ExplicitVRBigEndian, 16),
    (JPEGLSLossless, 10),
    (RLELossless, 8),
    (JPEG2000Lossless, 10),
    (DeflatedExplicitVRLittleEndian, 14),
    (JPEGLosslessSV1, 14),
    (JPEGBaseline8Bit, 8),
    (JPEGLSLossless, 12),
)
_RAW = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)
_VOI: tuple[Voi, ...] = ("window", "window", "none", "sigmoid", "window", "lut", "none")
_LARGE = frozenset((2, 5, 26, 47))  # studies with large images
_DEEPEST = 16  # bits; a look-up table for it is longer than an element may be
_TOLD: tuple[Told, ...] = (
    "ViewPosition",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "ViewPosition",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoObject:
    """One object of the archive."""

    key: str  # relative to the archive, with forward slashes
    data: bytes
    late: bool = False  # written to `late`, not to `archive`
    converts: bool = True  # False: no view can be made of it; it ends skipped or failed


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoStudy:
    """What one folder of the archive holds, and what should become of it."""

    case: str  # "chest" for an ordinary study, else the surprise: "sr only", "truncated", …
    study_instance_uid: str  # "" where no object tells one
    keys: tuple[str, ...]
    late_keys: tuple[str, ...]
    readable_keys: tuple[str, ...]  # of `keys`: those that a view can be made of
    fates: tuple[Fate, ...]  # which ends are right; empty where no study comes to be
    expectation: str  # the same, in words


def invented_studies(count: int, seed: int, scale: float) -> Iterator[tuple[DemoStudy, list[DemoObject]]]:
    """`count` ordinary studies (every eleventh does not tell its views), then the surprises."""
    maker = _Maker(seed, scale)
    for number in range(count):
        contents = maker.chest(number, lateral=(number + 1) % 5 > 0)
        if _storage(number).told == "nothing":
            yield _settle("view not told", contents, ("reported", "skipped"), "a report, or that no view is known")
        else:
            yield _settle("chest", contents, ("reported",), "a report")
    yield from _surprises(maker, count)


def _surprises(maker: "_Maker", first: int) -> Iterator[tuple[DemoStudy, list[DemoObject]]]:
    yield _settle(
        "late image", maker.late(first), ("reported",),
        "a report of the frontal view; once the lateral has come, a second one that supersedes it",
    )  # fmt: skip
    yield _settle("same object twice", maker.twice(first + 1), ("reported",), "one report; the copy is not used")
    yield _settle("sr only", maker.report_only(first + 2), ("skipped",), "skipped: there is no image")
    yield _settle("truncated", maker.truncated(first + 3), ("failed",), "failed: the file ends too early")
    yield _settle("not dicom", maker.not_dicom(), (), "two objects end skipped or failed; there is no study")
    yield _settle("ct slice", maker.ct(first + 4), ("skipped",), "skipped: CT is not for a chest-radiograph model")
    yield _settle(
        "no frontal", maker.lateral_only(first + 5), ("skipped", "reported"),
        "skipped where the model needs a frontal view, else a report",
    )  # fmt: skip
    yield _settle("hip", maker.hip(first + 6), ("skipped",), "skipped: a hip is not for a chest model")


def _settle(
    case: str, objects: "_Contents", fates: tuple[Fate, ...], expectation: str
) -> tuple[DemoStudy, list[DemoObject]]:
    study_uid, contents = objects
    study = DemoStudy(
        case=case,
        study_instance_uid=study_uid,
        keys=tuple(item.key for item in contents if not item.late),
        late_keys=tuple(item.key for item in contents if item.late),
        readable_keys=tuple(item.key for item in contents if not item.late and item.converts),
        fates=fates,
        expectation=expectation,
    )
    return study, contents


_Contents: TypeAlias = tuple[str, list[DemoObject]]


class _Maker:
    """Makes a study's objects from its number."""

    def __init__(self, seed: int, scale: float) -> None:
        self._seed = seed
        self._scale = scale

    def chest(self, number: int, *, lateral: bool = True) -> _Contents:
        patient, anatomy = self._patient(number), invent(1000 * self._seed + number)
        storage, folder = _storage(number), _folder(patient)
        views: tuple[Projection, ...] = ("frontal", "lateral") if lateral else ("frontal",)
        return patient.study_uid, [
            DemoObject(
                key=f"{folder}/IM{n:03d}.dcm",
                data=image(patient, self._picture(anatomy, view, number, storage), view, storage, number=n),
            )
            for n, view in enumerate(views, 1)
        ]

    def late(self, number: int) -> _Contents:
        study_uid, (first, second) = self.chest(number)
        return study_uid, [first, DemoObject(key=second.key, data=second.data, late=True)]

    def twice(self, number: int) -> _Contents:
        study_uid, contents = self.chest(number)
        copy = contents[0].key.replace("IM001", "IM001-copy")
        return study_uid, [*contents, DemoObject(key=copy, data=contents[0].data)]

    def report_only(self, number: int) -> _Contents:
        patient = self._patient(number)
        data = text_report(patient)
        return patient.study_uid, [DemoObject(key=f"{_folder(patient)}/SR001.dcm", data=data, converts=False)]

    def truncated(self, number: int) -> _Contents:
        patient = self._patient(number)
        storage = Storage(syntax=JPEG2000Lossless)
        gray = self._picture(invent(number), "frontal", number, storage)
        whole = image(patient, gray, "frontal", storage)
        cut = whole[: len(whole) * 3 // 5]
        return patient.study_uid, [DemoObject(key=f"{_folder(patient)}/IM001.dcm", data=cut, converts=False)]

    def not_dicom(self) -> _Contents:
        note = "Invented note: the studies of last night were copied by hand.\n"
        page = "<!doctype html><title>Sign in</title><p>Your session has ended. Please sign in again.</p>\n"
        return "", [
            DemoObject(key="misc/NOTE.dcm", data=note.encode(), converts=False),
            DemoObject(key="misc/download.dcm", data=page.encode(), converts=False),
        ]

    def ct(self, number: int) -> _Contents:
        patient = self._patient(number, "CT thorax")
        data = image(
            patient, ct_slice(round(512 * self._scale)), "frontal", Storage(modality="CT", told="nothing")
        )
        return patient.study_uid, [DemoObject(key=f"{_folder(patient)}/CT001.dcm", data=data, converts=False)]

    def lateral_only(self, number: int) -> _Contents:
        study_uid, contents = self.chest(number)
        return study_uid, contents[1:]

    def hip(self, number: int) -> _Contents:
        patient = self._patient(number, "Hip left")
        storage = Storage(syntax=JPEGLSLossless, body_part="HIP", told="nothing")
        data = image(patient, hip(round(720 * self._scale)), "frontal", storage)
        return patient.study_uid, [DemoObject(key=f"{_folder(patient)}/IM001.dcm", data=data)]

    def _patient(self, number: int, description: str = "Chest two views") -> Patient:
        name = f"DEMO^{_SURNAMES[number % len(_SURNAMES)]} {_GIVEN[number // 3 % len(_GIVEN)]}"
        when = datetime(2026, 1, 5, 7, tzinfo=UTC) + timedelta(hours=5 * number, minutes=number % 50)
        study_uid = uid("nightread", "demo", self._seed, number)
        sex = "FM"[number % 2]
        return Patient(number=number, name=name, sex=sex, study_uid=study_uid, when=when, description=description)

    def _picture(self, anatomy: Anatomy, view: Projection, number: int, storage: Storage) -> Gray:
        rng = np.random.default_rng((self._seed, number, view == "frontal"))
        rows = int(rng.integers(640, 690 if storage.syntax in _RAW else 880))
        rows = round(self._scale * (1400 if number in _LARGE else rows))
        columns = round(rows * rng.uniform(0.86, 0.97))
        return radiograph(anatomy, view, rows=rows, columns=columns, noise=float(rng.uniform(0.002, 0.004)))


def _storage(number: int) -> Storage:
    syntax, bits = _STORED[number % len(_STORED)]
    told = "nothing" if (number + 4) % 11 == 0 else _TOLD[number % len(_TOLD)]
    voi = _VOI[number % len(_VOI)]
    modality: Literal["CR", "DX"] = "CR" if number % 3 == 1 else "DX"
    return Storage(
        syntax=syntax,
        bits=bits,
        inverted=number % 4 in (1, 2) and syntax != JPEGBaseline8Bit,
        voi="window" if (voi == "lut" and bits == _DEEPEST) else voi,
        told=told,
        modality=modality,
    )


def _folder(patient: Patient) -> str:
    return f"{patient.when:%Y/%m/%d}/study-{patient.number:04d}"
