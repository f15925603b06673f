"""MIMIC-CXR-JPG's layout: tables of images and splits, reports and images below `files/p10/p10000032/`.

Takes PA and AP as frontal, LATERAL and LL as lateral; obliques and the rest are not used. Splits are the published
ones (`validate` is `val`). Problems are CheXpert's labels where the table is there, else our reading of the text:
no person coded them either way. The tables tell neither age nor sex.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.problems import NORMAL, problems_in
from pipeline.splits import split_of
from training.examples import LABELER, TEXT, Example
from training.problem_list import Problem
from training.sources.dataset import DataSet
from training.sources.images import FolderImages
from training.sources.sections import split_report
from training.sources.tables import find_table, read_table

METADATA, SPLITS, CHEXPERT = "mimic-cxr-2*-metadata.csv", "mimic-cxr-2*-split.csv", "mimic-cxr-2*-chexpert.csv"
VIEWS = {"PA": "frontal", "AP": "frontal", "AP AXIAL": "frontal", "LATERAL": "lateral", "LL": "lateral"}
SPLIT_NAMES = {"validate": "val"}
NAMES = {  # CheXpert's label -> the coders' term; what is not here has none of its own
    "Atelectasis": "Pulmonary Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Pulmonary Edema",
    "Enlarged Cardiomediastinum": "Mediastinum",
    "Fracture": "Fractures, Bone",
    "Lung Lesion": "Nodule",
    "Lung Opacity": "Opacity",
    "Pleural Effusion": "Pleural Effusion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Support Devices": "Medical Device",
}
SAID = frozenset({1.0, -1.0})  # there, or may be
_IDS = ("subject_id", "study_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tables:
    splits: Mapping[str, str]  # study -> split
    codes: Mapping[str, frozenset[str]]  # study -> problems; empty where there is no table
    coded: bool


class MimicReader:
    """Reads MIMIC-CXR-JPG with its reports."""

    form = "mimic-cxr"
    looked_for = "mimic-cxr-2.0.0-metadata.csv and -split.csv beside files/p10/…"

    def recognises(self, folder: Path) -> bool:
        """Whether the table of images is there."""
        return find_table(folder, METADATA) is not None

    def read(self, folder: Path) -> DataSet:
        """Read tables and reports; a study whose report is not there is a problem."""
        metadata = find_table(folder, METADATA)
        if metadata is None:
            raise UsageError(f"there is no {METADATA} in {folder}; copy it there")
        rows = read_table(metadata, {"dicom_id", "ViewPosition", *_IDS})
        rows.sort(key=lambda row: (row["subject_id"], row["study_id"]))
        tables = _tables(folder)
        examples: list[Example] = []
        problems: list[Problem] = []
        for _, images in groupby(rows, key=lambda row: (row["subject_id"], row["study_id"])):
            result = _example(folder, list(images), tables)
            if isinstance(result, Example):
                examples.append(result)
            else:
                problems.append(result)
        return DataSet(
            form=self.form, examples=tuple(examples), images=FolderImages(folder), problems=tuple(problems)
        )


def _tables(folder: Path) -> _Tables:
    splits, codes = find_table(folder, SPLITS), find_table(folder, CHEXPERT)
    rows = read_table(splits, {"study_id", "split"}) if splits else []
    coded = read_table(codes, {"study_id", "No Finding"}) if codes else []
    return _Tables(
        splits={row["study_id"]: SPLIT_NAMES.get(row["split"], row["split"]) for row in rows},
        codes={row["study_id"]: frozenset(_problems(row)) for row in coded},
        coded=codes is not None,
    )


def _problems(row: Mapping[str, str]) -> Iterable[str]:
    said = [label for label, value in row.items() if label not in _IDS and value and float(value) in SAID]
    if said in ([], ["No Finding"]):
        return (NORMAL,)
    return (NAMES[label] for label in said if label in NAMES)


def _example(folder: Path, images: list[dict[str, str]], tables: _Tables) -> Example | Problem:
    subject, study = images[0]["subject_id"], images[0]["study_id"]
    place = Path("files") / f"p{subject[:2]}" / f"p{subject}" / f"s{study}"
    try:
        report = (folder / place.with_suffix(".txt")).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Problem(kind="these studies have no report and are left out", place=f"{place}.txt", stops=False)
    roles: dict[str, str] = {}
    for image in images:
        view = VIEWS.get(image["ViewPosition"].strip().upper())
        if view:
            roles.setdefault(view, f"{place}/{image['dicom_id']}.jpg")
    sections = split_report(report)
    coded = study in tables.codes
    read = None if coded else problems_in(sections.findings, sections.impression)
    return Example(
        study=f"s{study}",
        split=tables.splits.get(study) or split_of(subject),
        frontal=roles.get("frontal"),
        lateral=roles.get("lateral"),
        findings=sections.findings,
        impression=sections.impression,
        problems=read.problems if read else tables.codes[study],
        mesh=read.mesh if read else tables.codes[study],
        patient=f"p{subject}",
        indication=sections.indication,
        coded_by=LABELER if coded else TEXT,
    )
