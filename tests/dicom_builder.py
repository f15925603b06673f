"""Small DICOM objects for tests, built with pydicom: an independent writer for what `pipeline` reads.

`dicom_bytes` makes a sound chest radiograph; keywords change or (with None) remove elements.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from pipeline.conversion import convert
from pipeline.handling import Handling
from pipeline.rules import NO_RULES, Rules
from pipeline.study import Conversion, Converted, Preprocessing, Refused, View

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DEFAULTS: dict[str, Any] = {
    "SOPClassUID": DX_IMAGE,
    "SOPInstanceUID": "1.2.3.4",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.1",
    "StudyDate": "20240229",
    "StudyDescription": "CHEST PA",
    "AccessionNumber": "A-7",
    "PatientID": "P-1",
    "PatientName": "Doe^Jane",
    "Modality": "DX",
    "ViewPosition": "PA",
    "BodyPartExamined": "Chest",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelRepresentation": 0,
}


def ramp(rows: int = 16, columns: int = 16, *, top: int = 4095, bottom: int = 0) -> NDArray[np.uint16]:
    """Values rising evenly from `bottom` to `top`, row by row, as [rows, columns]."""
    return np.linspace(bottom, top, rows * columns).astype(np.uint16).reshape(rows, columns)


def dicom_bytes(
    pixels: NDArray[Any] | None = None,
    *,
    syntax: str = ExplicitVRLittleEndian,
    frame: bytes | bytearray | None = None,
    bits: int | None = None,
    **elements: Any,
) -> bytes:
    """A Part 10 file. `frame` is a compressed frame to be encapsulated in place of `pixels`' own bytes."""
    image = ramp() if pixels is None else pixels
    allocated = 8 * image.dtype.itemsize
    stored = bits or (8 if allocated == 8 else 12)
    given: dict[str, Any] = {
        **DEFAULTS,
        "Rows": image.shape[0],
        "Columns": image.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelData": image.tobytes() if frame is None else encapsulate([bytes(frame)]),
        **elements,
    }
    dataset = Dataset()
    with config.disable_value_validation():
        for keyword, value in given.items():
            if value is not None:
                setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if frame is not None else "OW"
        dataset["PixelData"].is_undefined_length = frame is not None
    return written(dataset, syntax)


_STAND_INS = {22: "1.2.840.10008.1.2.4.80", 24: "1.2.840.10008.1.2.4.201"}


def _known(syntax: str) -> str:
    """The syntax, or one of the same length that pydicom knows how to write."""
    return str(syntax) if UID(syntax).is_transfer_syntax else _STAND_INS[len(syntax) + len(syntax) % 2]


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as a file of that transfer syntax."""
    buffer = io.BytesIO()
    with config.disable_value_validation():
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(_known(syntax))
        dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", DX_IMAGE)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3.4")
        dcmwrite(buffer, dataset, enforce_file_format=True)
    written_as, meant = (uid.ljust(len(uid) + len(uid) % 2, "\0").encode() for uid in (_known(syntax), syntax))
    return buffer.getvalue().replace(written_as, meant, 1)


def item(**elements: Any) -> Sequence:
    """A sequence of one item."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return Sequence([dataset])


def convert_bytes(
    content: bytes, *, height: int = 16, width: int = 16, fit: str = "squash", rules: Rules = NO_RULES
) -> Conversion:
    """Convert an object held in memory."""
    preprocessing = Preprocessing(height=height, width=width, fit=fit)
    return convert(
        io.BytesIO(content), size=len(content), preprocessing=preprocessing, handling=Handling(rules=rules)
    )


def converted(content: bytes, **preprocessing: Any) -> Converted:
    """Convert what must convert."""
    result = convert_bytes(content, **preprocessing)
    assert isinstance(result, Converted), result
    return result


def refused(content: bytes) -> Refused:
    """Convert what must be refused."""
    result = convert_bytes(content)
    assert isinstance(result, Refused), result
    return result


def view_of(pixels: NDArray[Any] | None = None, **elements: Any) -> View:
    """The view of a 16×16 image at its own size, so that each pixel shows its own grey."""
    return converted(dicom_bytes(pixels, **elements)).view
