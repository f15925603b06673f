"""Character sets, private elements, depth and numbers past belief cannot hurt a header's reading."""

import struct
from typing import Any

import pytest
from pydicom.charset import python_encoding

from pipeline.study import Converted
from tests.dicom_builder import convert_bytes, converted, dicom_bytes, refused

BAD_SETS = (
    "ISO_IR 999",
    "utf-8",
    "ISO 2022 IR 6\\ISO 2022 IR 999",
    "\0\0",
    "../../etc/passwd",
    "é",
    "rot13",
    "idna",
)
BYTES = bytes(range(1, 256)).replace(b"\\", b"")


@pytest.mark.parametrize("name", [*(name for name in python_encoding if name), *BAD_SETS])
def test_any_character_set_with_any_bytes_converts(name: str) -> None:
    content = dicom_bytes(PatientName="@" * len(BYTES), StudyDescription="Thorax")
    value = name.encode() + b" " * (len(name.encode()) % 2)
    at = content.index(b"\x08\0\x16\0UI")
    content = content[:at] + b"\x08\0\x05\0CS" + struct.pack("<H", len(value)) + value + content[at:]
    content = content.replace(b"@" * len(BYTES), BYTES)
    header = converted(content).header
    assert header.study_description == "Thorax"
    header.patient_name.encode("utf-8")  # no half characters: a database refuses them
    assert not any(letter < " " for letter in header.patient_name)


@pytest.mark.parametrize("depth", [1, 250, 5000])
def test_private_sequences_of_any_depth_are_passed_over(depth: int) -> None:
    opened = b"\x09\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    content = dicom_bytes()
    at = content.index(b"\x10\0\x10\0PN")
    assert converted(content[:at] + opened * depth + closed * depth + content[at:])


@pytest.mark.parametrize("vr", ["UN", "OB", "SQ", "UT"])
def test_a_private_element_that_claims_too_much_fails_with_a_reason(vr: str) -> None:
    content = dicom_bytes()
    at = content.index(b"\x10\0\x10\0PN")
    element = b"\x09\0\x01\x10" + vr.encode() + b"\0\0\xf0\xff\xff\xff"
    result = refused(content[:at] + element + content[at:])
    assert result.reason == "truncated: an element is longer than the object"


@pytest.mark.parametrize(
    ("vr", "value"), [("DS", b"1e300 "), ("UL", struct.pack("<L", 2**32 - 1)), ("IS", b"9" * 20)]
)
def test_rows_that_no_database_holds_are_no_rows(vr: str, value: bytes) -> None:
    content = dicom_bytes()
    at = content.index(b"\x28\0\x10\0US")
    element = b"\x28\0\x10\0" + vr.encode() + struct.pack("<H", len(value)) + value
    result = refused(content[:at] + element + content[at + 10 :])
    assert result.reason == "no usable Rows and Columns"
    assert result.header is not None
    assert result.header.rows is None


@pytest.mark.parametrize("uid", ["19500301", "1950.03.01", "555-1234", "1.2.3"])
def test_a_date_or_number_in_the_place_of_a_uid_is_not_quoted(uid: str) -> None:
    elements: dict[str, Any] = {"SOPClassUID": uid, "Modality": None}
    result = convert_bytes(dicom_bytes(**elements))
    assert not isinstance(result, Converted)
    assert uid not in result.reason
