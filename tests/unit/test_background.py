"""What a header tells beside its image: indication, age and sex; and that no damage there costs the image."""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.background import INDICATION_LIMIT, clean
from pipeline.study import Background
from tests.dicom_builder import converted, dicom_bytes, item, ramp

HISTORY = b"\x10\x00\xb0\x21"  # Additional Patient History
REQUEST = b"\x40\x00\x75\x02"  # Request Attributes Sequence


def _request(reason: str) -> Sequence:
    return item(ReasonForTheRequestedProcedure=reason)


def _background(**elements: Any) -> Background:
    return converted(dicom_bytes(**elements)).header.background


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "003W"}, 21 / 365.25),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientAge": "000D"}, 0),
        ({"PatientAge": "45Y"}, 45),
        ({"PatientAge": "045y"}, 45),
        ({"PatientAge": "120Y"}, 120),
        ({"PatientAge": "121Y"}, None),
        ({"PatientAge": "000Y"}, None),
        ({"PatientAge": "-04Y"}, None),
        ({"PatientAge": "045"}, None),
        ({"PatientAge": "old"}, None),
        ({"PatientAge": "045Y", "PatientBirthDate": "20000101"}, 45),
        ({"PatientAge": "000Y", "PatientBirthDate": "20231130"}, 2 / 12),
        ({"PatientAge": "999Y", "PatientBirthDate": "19600229"}, 64),
        ({"PatientBirthDate": "19600301"}, 63),
        ({"PatientBirthDate": "19600229", "StudyDate": "20230228"}, 62),
        ({"PatientBirthDate": "20220301"}, 23 / 12),
        ({"PatientBirthDate": "20240229"}, 0),
        ({"PatientBirthDate": "20240301"}, None),
        ({"PatientBirthDate": "19000101"}, None),
        ({"PatientBirthDate": "19600229", "StudyDate": None}, None),
        ({"PatientBirthDate": "unknown"}, None),
        ({}, None),
    ],
)
def test_the_age_in_years(elements: dict[str, Any], age: float | None) -> None:
    assert _background(**elements).age == (None if age is None else pytest.approx(age))


@pytest.mark.parametrize(("raw", "sex"), [("M", "M"), ("f", "F"), ("O", "O"), ("U", ""), ("MALE", ""), (None, "")])
def test_the_sex_is_one_of_dicoms(raw: str | None, sex: str) -> None:
    assert _background(PatientSex=raw).sex == sex


@pytest.mark.parametrize(
    ("elements", "indication"),
    [
        ({"ReasonForTheRequestedProcedure": "cough", "ReasonForStudy": "x"}, "cough"),
        ({"ReasonForStudy": "cough", "AdmittingDiagnosesDescription": "x"}, "cough"),
        ({"RequestAttributesSequence": _request("cough"), "AdditionalPatientHistory": "x"}, "cough"),
        ({"AdmittingDiagnosesDescription": ["cough", "fever"], "AdditionalPatientHistory": "x"}, "cough; fever"),
        ({"AdditionalPatientHistory": "cough,\r\n\tfever"}, "cough, fever"),
        ({"ReasonForTheRequestedProcedure": " - ", "AdditionalPatientHistory": "cough"}, "cough"),
        ({"ReasonForStudy": "Müde seit 3 d", "SpecificCharacterSet": "ISO_IR 100"}, "Müde seit 3 d"),
        ({"AdditionalPatientHistory": "кашель", "SpecificCharacterSet": "ISO_IR 192"}, "кашель"),
        ({"AdditionalPatientHistory": "咳嗽", "SpecificCharacterSet": "GB18030"}, "咳嗽"),
        ({"RequestAttributesSequence": _request("crónica"), "SpecificCharacterSet": "ISO_IR 192"}, "crónica"),
        ({"RequestAttributesSequence": Sequence([Dataset()])}, ""),
        ({}, ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_indication_is_the_first_that_is_told(elements: dict[str, Any], indication: str, syntax: str) -> None:
    assert converted(dicom_bytes(**elements, syntax=syntax)).header.background.indication == indication


def test_big_endian_headers_tell_too() -> None:
    elements: dict[str, Any] = {
        "RequestAttributesSequence": _request("cough"),
        "PatientAge": "045Y",
        "PixelData": ramp().astype(">u2").tobytes(),
    }
    told = converted(dicom_bytes(ramp(), syntax=ExplicitVRBigEndian, **elements)).header.background
    assert told == Background(indication="cough", age=45)


def test_free_text_becomes_one_line_of_bounded_length() -> None:
    assert clean("\0\x1b[31mcough\x85\u202e fever\u2028\ud800 chills") == "[31mcough fever chills"
    assert len(clean("cough " * 200)) <= INDICATION_LIMIT
    assert clean("1234 / - .") == ""


def _replaced(content: bytes, tag: bytes, element: bytes) -> bytes:
    """The object with the element of this tag, explicit and of short length, replaced."""
    at = content.index(tag)
    start = 12 if content[at + 4 : at + 6] == b"SQ" else 8
    length = int.from_bytes(content[at + start - (4 if start == 12 else 2) : at + start], "little")
    return content[:at] + element + content[at + start + length :]


_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_LONG = (9 << 20).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        (HISTORY, HISTORY + b"UN\0\0" + _LONG + bytes(9 << 20)),
        (HISTORY, HISTORY + b"UN\0\0" + (70_000).to_bytes(4, "little") + b"cough " * 10_000 + bytes(10_000)),
        (HISTORY, HISTORY + b"UN\0\0\xff\xff\xff\xff" + _END),
        (HISTORY, HISTORY + b"LT\x04\x00\x00\x01\xad\x90"),
        (REQUEST, REQUEST + b"SQ\0\0\x04\0\0\0\xff\xff\xff\xff"),
        (REQUEST, REQUEST + b"SQ\0\0\x10\0\0\0" + _ITEM + b"\x08\0\0\0" + b"\x40\0\x02\x10LO\xff\xff"),
        (REQUEST, REQUEST + b"SQ\0\0\x18\0\0\0" + _ITEM + b"\x10\0\0\0\x40\0\x02\x10UN\0\0" + _LONG + bytes(4)),
        (REQUEST, REQUEST + b"SQ\0\0\xff\xff\xff\xff" + (_ITEM + bytes(4)) * 20_000 + _END),
    ],
    ids=["9 MB", "70 kB", "undefined", "garbage", "half an item", "item cut off", "item of 9 MB", "20000 items"],
)  # fmt: skip
def test_a_hostile_element_is_unknown_and_the_image_stays(tag: bytes, element: bytes) -> None:
    elements: dict[str, Any] = {
        "AdditionalPatientHistory": "x",
        "RequestAttributesSequence": _request("x"),
    }
    content = dicom_bytes(
        **{name: value for name, value in elements.items() if (name[0] == "A") == (tag == HISTORY)}
    )
    told = converted(_replaced(content, tag, element)).header.background
    assert told == Background()


def test_an_indication_is_not_shown_by_accident() -> None:
    header = converted(dicom_bytes(AdditionalPatientHistory="seen by Dr Doe")).header
    assert header.background.indication == "seen by Dr Doe"
    assert "Doe" not in repr(header.background)
