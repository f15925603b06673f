"""Writes synthetic DX objects for tests: any 8-bit image as a 12-bit radiograph that displays as that image."""

import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

SCALE = 16  # 8 to 12 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class DxTags:
    """What the header says."""

    study: str  # any text; equal texts make equal UIDs
    name: str  # of the object within the study
    view_position: str = "PA"
    monochrome1: bool = False
    body_part: str = "CHEST"
    patient_id: str = "TEST-1"


def write_dx(path: Path, pixels: NDArray[np.uint8], tags: DxTags) -> Path:
    """Write 8-bit `pixels` [rows, columns] (0 is black) as a 12-bit DX object with a window that restores them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dx_bytes(pixels, tags))
    return path


def dx_bytes(pixels: NDArray[np.uint8], tags: DxTags) -> bytes:
    """The same object as bytes."""
    top = 255 * SCALE
    stored = pixels.astype("<u2") * SCALE
    ds = _header(tags)
    ds.Rows, ds.Columns = stored.shape
    ds.PixelData = (top - stored if tags.monochrome1 else stored).tobytes()
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def study_uid(study: str) -> str:
    """The UID of the study with this text."""
    return _uid("study", study)


def enlarge(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Each pixel repeated `times` x `times`: a larger radiograph whose mean over each cell is the small one."""
    return np.kron(image, np.ones((times, times), np.uint8))


def _header(tags: DxTags) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = _uid("instance", tags.study, tags.name)
    ds.StudyInstanceUID = study_uid(tags.study)
    ds.SeriesInstanceUID = _uid("series", tags.study, tags.name)
    ds.Modality = "DX"
    ds.StudyDate = date(2024, 3, 1).strftime("%Y%m%d")
    ds.PatientID, ds.PatientName, ds.AccessionNumber = tags.patient_id, "Test^Person", "ACC-1"
    ds.BodyPartExamined, ds.ViewPosition = tags.body_part, tags.view_position
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PhotometricInterpretation = "MONOCHROME1" if tags.monochrome1 else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if tags.monochrome1 else "IDENTITY"
    # LINEAR: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255, so this window takes 0..4080 to 0..255 exactly.
    ds.WindowCenter, ds.WindowWidth = 255 * SCALE / 2 + 0.5, 255 * SCALE + 1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "US"
    return ds


def _uid(*parts: str) -> str:
    return generate_uid(entropy_srcs=list(parts))
