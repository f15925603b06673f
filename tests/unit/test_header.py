"""Header facts: identifiers, text, projection; and garbage in any one of them."""

from datetime import date
from typing import Any

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pipeline.study import Projection
from tests.dicom_builder import converted, dicom_bytes, item


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_facts_are_the_headers(syntax: str) -> None:
    content = dicom_bytes(syntax=syntax)
    header = converted(content).header
    assert (header.sop_instance_uid, header.study_instance_uid, header.series_instance_uid) == (
        "1.2.3.4",
        "1.2.3",
        "1.2.3.1",
    )
    assert (header.modality, header.photometric_interpretation) == ("DX", "MONOCHROME2")
    assert (header.rows, header.columns, header.bits_stored) == (16, 16, 12)
    assert (header.study_date, header.study_description) == (date(2024, 2, 29), "CHEST PA")
    assert (header.patient_id, header.patient_name, header.accession_number) == ("P-1", "Doe^Jane", "A-7")
    assert header.body_part_examined == "CHEST"


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("ISO_IR 192", "Müller^Jörg".encode(), "Müller^Jörg"),
        ("ISO_IR 100", "Müller".encode("latin_1"), "Müller"),
        ("ISO_IR 144", "Люк".encode("iso8859_5"), "Люк"),
        (None, "Müller".encode("latin_1"), "Müller"),
        ("ISO_IR 192", b"M\xffller", "M\ufffdller"),
        ("ISO_IR 192", b"A\0B\nC\x1b", "ABC"),
    ],
)
def test_text_is_decoded_as_declared_and_never_raises(charset: str | None, raw: bytes, text: str) -> None:
    marker = "X" * (len(raw) + len(raw) % 2)
    content = dicom_bytes(PatientID=marker, SpecificCharacterSet=charset)
    content = content.replace(marker.encode(), raw.ljust(len(marker), b" "))
    assert converted(content).header.patient_id == text


def test_an_unknown_character_set_is_read_as_latin_1() -> None:
    content = dicom_bytes(SpecificCharacterSet="ISO_IR 100", PatientID="Mueller ")
    broken = content.replace(b"ISO_IR 100", b"NO_SUCH 99").replace(b"Mueller ", b"M\xfcller  ")
    assert converted(broken).header.patient_id == "Müller"


@pytest.mark.parametrize("text", ["20241301", "2024", "yesterday", "00000000"])
def test_a_date_that_is_none_is_absent(text: str) -> None:
    assert converted(dicom_bytes(StudyDate=text)).header.study_date is None


def test_a_uid_with_other_characters_is_absent() -> None:
    assert converted(dicom_bytes(SeriesInstanceUID="1.2.DOE^JANE")).header.series_instance_uid == ""


def test_a_digest_in_place_of_a_uid_is_kept() -> None:
    digest = "05fa52f0e599f17b8186ff18fcdf2b55"
    assert converted(dicom_bytes(StudyInstanceUID=digest)).header.study_instance_uid == digest


def test_the_instance_uid_of_the_meta_information_stands_in() -> None:
    content = dicom_bytes(SOPInstanceUID="1.2.3.4")
    start = content.index(b"\x08\0\x18\0UI")
    cut = content[:start] + content[start + 8 + 8 :]
    assert converted(cut).header.sop_instance_uid == "1.2.3.4"


@pytest.mark.parametrize(
    ("elements", "projection", "source"),
    [
        ({"ViewPosition": "PA"}, Projection.FRONTAL, "ViewPosition"),
        ({"ViewPosition": "AP"}, Projection.FRONTAL, "ViewPosition"),
        ({"ViewPosition": "ap supine"}, Projection.FRONTAL, "ViewPosition"),
        ({"ViewPosition": "LL"}, Projection.LATERAL, "ViewPosition"),
        ({"ViewPosition": "RL"}, Projection.LATERAL, "ViewPosition"),
        ({"ViewPosition": "LATERAL"}, Projection.LATERAL, "ViewPosition"),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, Projection.FRONTAL, "ViewPosition"),
        ({"ViewPosition": "LLD"}, Projection.OTHER, "ViewPosition"),
        ({"ViewPosition": "RAO", "PatientOrientation": ["L", "F"]}, Projection.OTHER, "ViewPosition"),
        ({"ViewPosition": "MLO", "PatientOrientation": ["A", "F"]}, Projection.OTHER, "ViewPosition"),
        ({"ViewPosition": None}, Projection.UNKNOWN, ""),
        ({"ViewPosition": "PA LAT"}, Projection.UNKNOWN, ""),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, Projection.FRONTAL, "PatientOrientation"),
        ({"ViewPosition": "", "PatientOrientation": ["R", "FP"]}, Projection.FRONTAL, "PatientOrientation"),
        ({"ViewPosition": "", "PatientOrientation": ["H", "L"]}, Projection.FRONTAL, "PatientOrientation"),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, Projection.LATERAL, "PatientOrientation"),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, Projection.LATERAL, "PatientOrientation"),
        ({"ViewPosition": "", "PatientOrientation": ["A", "L"]}, Projection.UNKNOWN, ""),
    ],
)
def test_the_projection_and_what_told_it(elements: dict[str, Any], projection: Projection, source: str) -> None:
    header = converted(dicom_bytes(**elements)).header
    assert (header.projection, header.projection_source) == (projection, source)


@pytest.mark.parametrize(
    ("code", "projection"),
    [
        ("272479007", Projection.FRONTAL),
        ("R-10206", Projection.FRONTAL),
        ("399173006", Projection.LATERAL),
        ("R-10232", Projection.LATERAL),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_view_code_beats_the_orientation(code: str, projection: Projection, syntax: str) -> None:
    codes = item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning="x")
    elements: dict[str, Any] = {"ViewPosition": None, "ViewCodeSequence": codes, "PatientOrientation": ["L", "F"]}
    header = converted(dicom_bytes(**elements, syntax=syntax)).header
    assert (header.projection, header.projection_source) == (projection, "ViewCodeSequence")


@pytest.mark.parametrize("undefined", [False, True])
def test_a_sequence_of_undefined_length_is_read_like_any_other(undefined: bool) -> None:
    codes = item(CodeValue="272479007")
    codes.is_undefined_length = undefined
    codes[0].is_undefined_length_sequence_item = undefined
    header = converted(dicom_bytes(ViewPosition=None, ViewCodeSequence=codes)).header
    assert header.projection is Projection.FRONTAL


def test_a_decimal_under_a_mistaken_vr_is_still_read() -> None:
    content = dicom_bytes(WindowCenter="2048", WindowWidth="4096")
    mistaken = content.replace(b"\x28\0\x50\x10DS", b"\x28\0\x50\x10LO")
    assert converted(mistaken).view.notes == converted(content).view.notes == ()


def test_big_endian_headers_are_read() -> None:
    import numpy as np

    from tests.dicom_builder import ramp

    content = dicom_bytes(ramp(), syntax=ExplicitVRBigEndian, PixelData=ramp().astype(">u2").tobytes())
    result = converted(content)
    assert result.header.rows == 16
    assert np.array_equal(result.view.pixels, converted(dicom_bytes()).view.pixels)
