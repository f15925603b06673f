"""Invented DICOM objects: a phantom's pixels in, the bytes of a DX, CR, CT or SR object out.

Every way of storing that the archive shows is chosen by a frozen `Storage`; nothing here is random. Names are
plainly invented (DEMO^…) and UIDs lie under 2.25. Written for demonstrations and tests, not for a PACS.
"""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Literal, TypeAlias
from uuid import NAMESPACE_OID, uuid5

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Gray: TypeAlias = NDArray[Any]  # floating
Stored: TypeAlias = NDArray[Any]  # uint8 or uint16
Voi: TypeAlias = Literal["window", "sigmoid", "lut", "none"]
Told: TypeAlias = Literal["ViewPosition", "ViewCodeSequence", "PatientOrientation", "nothing"]


_BYTE = 8  # bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """How an image is stored."""

    syntax: UID = ExplicitVRLittleEndian
    bits: int = 12  # BitsStored: 8, 10, 12, 14 or 16
    inverted: bool = False  # MONOCHROME1
    voi: Voi = "window"
    told: Told = "ViewPosition"  # where the header tells the projection
    modality: str = "DX"
    body_part: str = "CHEST"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """An invented person's study."""

    number: int
    name: str
    sex: str
    study_uid: UID
    when: datetime
    description: str


def uid(*parts: object) -> UID:
    """A UID under 2.25 that is always the same for the same parts."""
    return UID(f"2.25.{uuid5(NAMESPACE_OID, '/'.join(map(str, parts))).int}")


def image(
    patient: Patient, gray: Gray, projection: Literal["frontal", "lateral"], storage: Storage, *, number: int = 1
) -> bytes:
    """A CR or DX object (or a CT slice, by its modality) of the picture `gray`: 0 black to 1 white."""
    classes = {"CR": ComputedRadiographyImageStorage, "CT": CTImageStorage}
    sop_class = classes.get(storage.modality, DigitalXRayImageStorageForPresentation)
    ds = _study(patient, storage.modality, sop_class, number)
    ds.BodyPartExamined = storage.body_part
    if storage.modality == "DX":
        ds.PresentationIntentType = "FOR PRESENTATION"
        ds.PresentationLUTShape = "INVERSE" if storage.inverted else "IDENTITY"
    _tell(ds, projection, storage.told)
    stored = _quantize(ds, gray, storage)
    _describe_pixels(ds, stored, storage)
    ds.PixelData = _pixel_data(stored, storage)
    ds["PixelData"].VR = "OB" if storage.syntax.is_compressed or storage.bits == _BYTE else "OW"
    return write(ds, storage.syntax)


def text_report(patient: Patient) -> bytes:
    """A structured report without any image."""
    ds = _study(patient, "SR", BasicTextSRStorage, 1)
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([_code("18748-4", "LN", "Diagnostic imaging report")])
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = Sequence([_code("121071", "DCM", "Finding")])
    item.TextValue = "An invented report of an invented patient."
    ds.ContentSequence = Sequence([item])
    return write(ds, ExplicitVRLittleEndian)


def write(ds: Dataset, syntax: UID) -> bytes:
    """The file's bytes, preamble and file meta information included."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = uid("nightread", "demo")
    ds.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _study(patient: Patient, modality: str, sop_class: UID, number: int) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = uid(patient.study_uid, modality, number)
    ds.StudyInstanceUID = patient.study_uid
    ds.SeriesInstanceUID = uid(patient.study_uid, modality, "series", number)
    ds.StudyDate = ds.ContentDate = patient.when.strftime("%Y%m%d")
    ds.StudyTime = ds.ContentTime = patient.when.strftime("%H%M%S")
    ds.Modality, ds.Manufacturer = modality, "Nightread demo"
    ds.PatientName, ds.PatientID = patient.name, f"DEMO-{patient.number:04d}"
    ds.PatientBirthDate, ds.PatientSex = f"{1935 + patient.number % 60}0101", patient.sex
    ds.AccessionNumber, ds.StudyID = f"D{patient.number:06d}", str(patient.number)
    ds.StudyDescription = patient.description
    ds.SeriesNumber = ds.InstanceNumber = number
    ds.ReferringPhysicianName = ""
    return ds


def _tell(ds: Dataset, projection: str, told: Told) -> None:
    frontal = projection == "frontal"
    if told == "ViewPosition":
        ds.ViewPosition = "PA" if frontal else "LL"
    elif told == "ViewCodeSequence":
        code = (
            _code("399348003", "SCT", "antero-posterior")
            if frontal
            else _code("399198007", "SCT", "right lateral")
        )
        ds.ViewCodeSequence = Sequence([code])
    elif told == "PatientOrientation":
        ds.PatientOrientation = ["L", "F"] if frontal else ["P", "F"]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _quantize(ds: Dataset, gray: Gray, storage: Storage) -> Stored:
    """Stored values, and the VOI that leads back to the picture. The picture uses the middle of the range only."""
    top = 2**storage.bits - 1
    low, high = (0.0, float(top)) if storage.voi == "none" else (0.12 * top, 0.82 * top)
    shown = 1 - gray if storage.inverted else gray
    if storage.voi == "sigmoid":
        safe = np.clip(shown, 0.012, 0.988)
        values = (low + high) / 2 + (high - low) / 4 * np.log(safe / (1 - safe))
        ds.WindowCenter, ds.WindowWidth = round((low + high) / 2), round(high - low)
        ds.VOILUTFunction = "SIGMOID"
    elif storage.voi == "lut":
        values = low + (high - low) * np.sqrt(shown)
        ds.VOILUTSequence = Sequence([_lut(low, high)])
    else:
        values = low + (high - low) * shown
    if storage.voi == "window":
        ds.WindowCenter, ds.WindowWidth = [round((low + high) / 2), round(top / 2)], [round(high - low), top]
        ds.WindowCenterWidthExplanation = ["NORMAL", "WIDE"]
    kind = np.uint8 if storage.bits == _BYTE else np.uint16
    return np.asarray(np.clip(np.rint(values), 0, top), dtype=kind)


def _lut(low: float, high: float) -> Dataset:
    """Squares, for values that were stored as roots."""
    entries = round(high - low) + 1
    curve = np.rint(4095 * (np.arange(entries) / (entries - 1)) ** 2).astype("<u2")
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [entries, round(low), 12])
    lut.LUTExplanation = "NORMAL"
    lut.add_new("LUTData", "US", curve.tolist())
    return lut


def _describe_pixels(ds: Dataset, stored: Stored, storage: Storage) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if storage.inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = 8 if storage.bits == _BYTE else 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = storage.bits, storage.bits - 1, 0
    ds.ImagerPixelSpacing = [round(430 / max(stored.shape), 4)] * 2
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.BurnedInAnnotation = "NO"
    if storage.syntax == JPEGBaseline8Bit:
        ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"


def _pixel_data(stored: Stored, storage: Storage) -> bytes:
    encode: dict[UID, Any] = {
        JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(stored, level=92),
        JPEGLosslessSV1: lambda: imagecodecs.ljpeg_encode(stored, bitspersample=storage.bits),
        JPEGLSLossless: lambda: imagecodecs.jpegls_encode(stored),
        JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(
            stored, reversible=True, codecformat="j2k", bitspersample=storage.bits, level=0
        ),
    }
    if storage.syntax in encode:
        return encapsulate([bytes(encode[storage.syntax]())])
    if storage.syntax == RLELossless:
        return encapsulate([_rle(stored)])
    swapped = stored.byteswap() if storage.syntax == ExplicitVRBigEndian else stored
    raw = swapped.tobytes()
    return raw + b"\0" * (len(raw) % 2)


def _rle(stored: Stored) -> bytes:
    """One segment per byte plane, the most significant first, each row packed by itself."""
    planes = stored.view(np.uint8).reshape(*stored.shape, -1)[..., ::-1]
    segments = [imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., n])) for n in range(planes.shape[-1])]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = np.zeros(16, "<u4")
    offsets[0] = len(segments)
    offsets[1 : len(segments) + 1] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return offsets.tobytes() + b"".join(segments)
