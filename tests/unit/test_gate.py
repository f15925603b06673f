"""What is taken and what is refused, and how it is said."""

from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian

from pipeline.study import Converted
from tests.dicom_builder import (
    CR_IMAGE,
    CT_IMAGE,
    DX_IMAGE,
    SECONDARY_CAPTURE,
    convert_bytes,
    dicom_bytes,
    item,
    ramp,
    refused,
)


@pytest.mark.parametrize(
    "elements",
    [
        {"SOPClassUID": CR_IMAGE, "Modality": "CR"},
        {"SOPClassUID": DX_IMAGE, "Modality": "DX"},
        {"SOPClassUID": CR_IMAGE, "Modality": None},
        {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "RG", "ConversionType": "DF"},
        {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CR", "BurnedInAnnotation": "NO", "ConversionType": "WSD"},
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"PatientSpeciesCodeSequence": item(CodeValue="337915000", CodingSchemeDesignator="SCT")},
        {"BodyPartExamined": "HIP"},
    ],
)
def test_radiographs_are_taken(elements: dict[str, Any]) -> None:
    assert isinstance(convert_bytes(dicom_bytes(**elements)), Converted)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"SOPClassUID": CT_IMAGE, "Modality": "CT"}, "not a radiograph: CT Image Storage"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, "no image: Basic Text SR Storage"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.9.1.1"}, "no image: 12-lead ECG Waveform Storage"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "no image: Encapsulated PDF Storage"),
        ({"SOPClassUID": "1.2.826.0.1.99"}, "not a radiograph: 1.2.826.0.1.99"),
        (
            {"SOPClassUID": f"{DX_IMAGE}.1"},
            "raw detector data: Digital X-Ray Image Storage - For Processing",
        ),
        (
            {"PresentationIntentType": "FOR PROCESSING"},
            "raw detector data: Presentation Intent Type is FOR PROCESSING",
        ),
        ({"SOPClassUID": CR_IMAGE, "Modality": "MG"}, "not a radiograph: Modality MG"),
        ({"Modality": "DOE JANE"}, "not a radiograph: Modality of no defined term"),
        (
            {"SOPClassUID": SECONDARY_CAPTURE, "Modality": None},
            "nothing says that it is a radiograph: neither SOP Class nor Modality",
        ),
        (
            {"BurnedInAnnotation": "YES"},
            "quarantined: Burned In Annotation is YES, the pixels may name the patient",
        ),
        (
            {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CR", "ConversionType": "WSD"},
            "quarantined: a secondary capture of Conversion Type WSD may show the patient's name",
        ),
        ({"PatientSpeciesDescription": "Canis familiaris"}, "not a human: Patient Species says so"),
        (
            {"PatientSpeciesCodeSequence": item(CodeValue="L-80700", CodingSchemeDesignator="SRT")},
            "not a human: Patient Species says so",
        ),
        ({"PatientBreedDescription": "Beagle"}, "not a human: the header states a breed or neutering"),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "no grey or true colour image: PALETTE COLOR, 1 samples per pixel",
        ),
    ],
)
def test_what_is_not_for_us_is_skipped_by_name(elements: dict[str, Any], reason: str) -> None:
    result = refused(dicom_bytes(**elements))
    assert (result.failed, result.reason) == (False, reason)
    assert result.header is not None
    assert result.header.study_instance_uid == "1.2.3"


@pytest.mark.parametrize("allocated", [1, 12, 32, 64])
def test_other_depths_than_8_and_16_are_skipped(allocated: int) -> None:
    result = refused(dicom_bytes(BitsAllocated=allocated))
    assert result == refused(dicom_bytes(BitsAllocated=allocated))
    assert result.reason == f"{allocated} bits allocated per sample; 8 and 16 are read"


def test_floating_point_pixels_are_skipped() -> None:
    content = dicom_bytes(PixelData=None, FloatPixelData=np.zeros((16, 16), "<f4").tobytes())
    assert refused(content).reason == "no integer pixels: the pixel data is of floating point"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not DICOM: the object is empty"),
        (b"\n<!DOCTYPE html><html></html>", "not DICOM: a web page"),
        (b"%PDF-1.7 ...", "not DICOM: a PDF"),
        (b"MZ" + bytes(200), "not DICOM: a program"),
        (b"PK\x03\x04" + bytes(200), "not DICOM: a ZIP archive"),
        (b"Dear colleague, ...", "not DICOM: neither a DICM prefix nor a data element at its beginning"),
        (bytes(500), "not DICOM: neither a DICM prefix nor a data element at its beginning"),
        (b"\0\0\0\1Bud1" + bytes(6000), "not DICOM: neither a DICM prefix nor a data element at its beginning"),
    ],
)
def test_what_is_no_dicom_is_skipped(content: bytes, reason: str) -> None:
    result = refused(content)
    assert (result.failed, result.reason, result.header) == (False, reason, None)


def test_a_program_that_is_also_dicom_is_judged_as_dicom() -> None:
    content = dicom_bytes()
    assert isinstance(convert_bytes(b"MZ" + content[2:]), Converted)


def test_a_missing_preamble_is_accepted() -> None:
    content = dicom_bytes()
    assert isinstance(convert_bytes(content[132:]), Converted)


def test_bare_data_elements_without_meta_information_are_accepted() -> None:
    content = dicom_bytes()
    start = content.index(b"\x08\0\x16\0UI")
    result = convert_bytes(content[start:])
    assert isinstance(result, Converted)
    assert result.header.transfer_syntax_uid == "1.2.840.10008.1.2.1"


def test_big_endian_elements_without_meta_information_are_accepted() -> None:
    content = dicom_bytes(ramp(), syntax=ExplicitVRBigEndian, PixelData=ramp().astype(">u2").tobytes())
    bare = content[content.index(b"\0\x08\0\x16UI") :]
    result = convert_bytes(bare)
    assert isinstance(result, Converted)
    assert result.header.transfer_syntax_uid == ExplicitVRBigEndian


def test_an_instance_without_identity_fails() -> None:
    result = refused(dicom_bytes(StudyInstanceUID=None))
    assert (result.failed, result.reason) == (True, "no usable Study or SOP Instance UID")


def test_a_header_without_pixels_fails() -> None:
    result = refused(dicom_bytes(PixelData=None))
    assert (result.failed, result.reason) == (True, "no pixel data: the object ends after its header")


def test_a_refused_class_needs_nothing_after_its_identity() -> None:
    content = dicom_bytes(SOPClassUID=CT_IMAGE, Modality="CT")
    cut = content[: content.index(b"\x28\0\x10\0US") + 3]
    assert refused(cut).reason == "not a radiograph: CT Image Storage"
