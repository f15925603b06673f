"""`labels.json` beside `images.zip`: radiographs without reports, some coarsely labelled, to pre-train on.

A collection knows only its own labels: of all others nothing is known, neither that they are there nor that they
are not. Labels are told in the coders' terms. A label of the patient (COVID-19) is none of the image, and an image
without any label is unlabelled, not normal. Assumes that `patient` links images of one collection alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.problems import NORMAL, PROBLEMS
from training.examples import ABNORMAL
from training.problem_list import Problem, listed
from training.sources.dataset import Images
from training.sources.images import ZippedImages

LABELS, IMAGES = "labels.json", "images.zip"
NAMES = {  # a collection's label -> the coders' term; terms of the coders' own stand for themselves
    "Atelectasis": "Pulmonary Atelectasis",
    "Edema": "Pulmonary Edema",
    "Effusion": "Pleural Effusion",
    "Emphysema": "Pulmonary Emphysema",
    "Fibrosis": "Pulmonary Fibrosis",
    "Hernia": "Hernia, Hiatal",
    "Infiltration": "Infiltrate",
    "PNEUMONIA": "Pneumonia",
    "Pleural_Thickening": "Thickening",
}
NOTHING = frozenset({"No Finding", "NORMAL", NORMAL})
_PART = re.compile(r" \(| at \d")  # "NIH ChestX-ray14 (a copy of it)": one collection, whoever passed it on
_FIELDS = {"file": str, "source": str, "labels": list}


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiograph:
    """One image and what is known of it."""

    file: str  # of the set's images
    labels: frozenset[str]  # known to be there, in the coders' terms, "abnormal" among them
    known: frozenset[str]  # what would be told; what is here and not in `labels` is known to be absent
    patient: str  # the file where nobody tells
    source: str  # for the model card


@dataclass(frozen=True, kw_only=True)
class RadiographSet:
    """Radiographs with the place of their pixels."""

    radiographs: tuple[Radiograph, ...]
    images: Images
    licences: tuple[str, ...]  # of all sources, for the model card


def read_radiographs(folder: Path) -> RadiographSet:
    """Read a set's labels; every record that is wrong is listed in one UsageError."""
    path = folder / LABELS
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; name a folder with {LABELS} and {IMAGES}") from error
    images = ZippedImages(folder / IMAGES)
    wrong = listed(_wrong(records, images))
    if wrong:
        raise UsageError(f"{path} cannot be used: {'; '.join(wrong)}")
    told = _told(records)
    return RadiographSet(
        radiographs=tuple(_radiograph(raw, told[_collection(raw)]) for raw in records),
        images=images,
        licences=tuple(sorted({f"{raw['source']}: {raw['licence']}" for raw in records if raw.get("licence")})),
    )


def _wrong(records: Any, images: Images) -> Iterable[Problem]:
    if not isinstance(records, list):
        yield Problem(kind="it holds no list", place="")
        return
    for number, raw in enumerate(records):
        for field, kind in _FIELDS.items():
            if not isinstance(raw, dict) or not isinstance(raw.get(field), kind):
                yield Problem(kind=f"these records have no {field!r}, or one of a wrong type", place=str(number))
                break
        else:
            if raw["file"] not in images:
                yield Problem(kind=f"these images are not in {IMAGES}", place=raw["file"])


def _collection(raw: Mapping[str, Any]) -> str:
    return _PART.split(raw["source"])[0]


def _terms(labels: Iterable[str]) -> frozenset[str]:
    return frozenset(NAMES.get(label, label) for label in labels) & (PROBLEMS | set(NAMES.values()))


def _told(records: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """What each collection's labels can tell: those that occur in it, and whether a chest is normal."""
    occurring: dict[str, set[str]] = {}
    for raw in records:
        occurring.setdefault(_collection(raw), set()).update(raw["labels"])
    return {
        name: _terms(labels) | ({ABNORMAL} if labels & NOTHING else set()) for name, labels in occurring.items()
    }


def _radiograph(raw: Mapping[str, Any], told: frozenset[str]) -> Radiograph:
    labels = frozenset(raw["labels"])
    there = _terms(labels) | (set() if labels & NOTHING else {ABNORMAL})
    known = told if labels else frozenset[str]()
    return Radiograph(
        file=raw["file"],
        labels=there & known,
        known=known,
        patient=raw.get("patient") or raw["file"],
        source=raw["source"],
    )
