"""What should become of a file, worked out without the pipeline: pydicom reads its header, others decode it.

The rules are the README's, in pydicom's words. Whether the image shows what it should is not for this module: a
person looked, and `corpus_by_eye.toml` says what was seen.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.misc import is_dicom
from pydicom.uid import UID

from tests import reference

RADIOGRAPHS = frozenset({"CR", "DX", "RG"})
OF_ITSELF = frozenset({"Computed Radiography Image Storage", "Digital X-Ray Image Storage - For Presentation"})


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One file's outcome: its kind, and a word of its reason."""

    kind: str  # "converted", "skipped" or "failed"
    ground: str


def expected(path: Path, room: Path) -> Expected:
    """Read the header, ask the gate's questions in its order, then let DCMTK or GDCM decode."""
    dataset = reference.header(path)
    if not is_dicom(path) and "SOPClassUID" not in dataset:
        return Expected(kind="skipped", ground="not DICOM")
    if ground := _refusal(dataset):
        return Expected(kind="skipped", ground=ground)
    return _decoding(path, str(dataset.file_meta.get("TransferSyntaxUID", "")), room)


def _refusal(dataset: Any) -> str:
    """A word of the reason why the file is not for us; "" when it is."""
    uid = UID(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    modality = str(dataset.get("Modality") or "").strip().upper()
    name = uid.name if uid else ""
    if uid and name not in OF_ITSELF and not name.endswith("Secondary Capture Image Storage"):
        return name
    if modality in RADIOGRAPHS:
        return _use(dataset)
    if modality:
        return f"Modality {modality}"
    return _use(dataset) if name in OF_ITSELF else "nothing says that it is a radiograph"


def _use(dataset: Any) -> str:
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        return "raw detector data"
    if dataset.get("BurnedInAnnotation") == "YES":
        return "quarantined"
    return (
        "not a human" if dataset.get("PatientBreedDescription") or dataset.get("PatientSpeciesDescription") else ""
    )


def _decoding(path: Path, syntax: str, room: Path) -> Expected:
    native = path
    try:
        native = reference.decoded(path, syntax, room)
        reference.shown(native, reference.Choice(), room)
    except reference.NoReference:
        missing = "PixelData" not in reference.whole(path)
        return Expected(kind="failed", ground="no pixel data" if missing else "damaged")
    return Expected(kind="converted", ground="")
