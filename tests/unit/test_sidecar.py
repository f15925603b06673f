"""A sidecar is read whole and strictly, or refused with everything that is wrong; nothing of it is quoted."""

import io
import json
from typing import Any

import pytest

from pipeline.errors import BadObject
from pipeline.sidecar import Sidecar, is_sidecar, read_sidecar
from pipeline.study import Background


def _read(content: bytes) -> Sidecar:
    return read_sidecar(io.BytesIO(content), size=len(content))


def _refusal(content: bytes) -> str:
    with pytest.raises(BadObject) as caught:
        _read(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("raw", "background"),
    [
        ({"indication": "a,\nb", "age": 63, "sex": "F"}, Background(indication="a, b", age=63, sex="F")),
        ({"age": 0.5}, Background(age=0.5)),
        ({"indication": None, "age": None, "sex": None}, Background()),
        ({"indication": "a\ud800b", "sex": ""}, Background(indication="a b")),
    ],
)  # fmt: skip
def test_what_a_sidecar_tells(raw: dict[str, Any], background: Background) -> None:
    told = _read(json.dumps({"StudyInstanceUID": "1.2.3", **raw}).encode())
    assert told == Sidecar(study_instance_uid="1.2.3", background=background)


def test_a_byte_order_mark_is_passed() -> None:
    assert _read(b'\xef\xbb\xbf{"StudyInstanceUID": "1.2.3"}').background == Background()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"StudyInstanceUID": None}, "StudyInstanceUID must be"),
        ({"StudyInstanceUID": "Doe^Jane"}, "StudyInstanceUID must be"),
        ({"StudyInstanceUID": ["1.2.3"]}, "StudyInstanceUID must be"),
        ({"indication": 5}, "indication must be text"),
        ({"age": "63"}, "age must be a number"),
        ({"age": True}, "age must be a number"),
        ({"age": -1}, "age must be a number"),
        ({"age": 121}, "age must be a number"),
        ({"age": float("nan")}, "age must be a number"),
        ({"age": 10**4000}, "age must be a number"),
        ({"sex": "Doe"}, "sex must be one of M, F, O"),
        ({"sex": {}}, "sex must be one of M, F, O"),
        ({"Doe": 1}, "it may have the keys StudyInstanceUID, indication, age, sex only"),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(change: dict[str, Any], problem: str) -> None:
    reason = _refusal(json.dumps({"StudyInstanceUID": "1.2.3", **change}).encode())
    assert problem in reason
    assert "Doe" not in reason


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert _refusal(b'{"age": "x", "sex": "x"}').count(";") == 2


@pytest.mark.parametrize(
    "content", [b"", b"Doe", b"\xff\xfe{", b"[" * 60_000, b'{"age": ' + b"9" * 5000 + b"}"], ids=len
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    assert _refusal(content) == "the sidecar background.json is no JSON in UTF-8"


def test_other_json_is_refused() -> None:
    assert "must be one JSON object" in _refusal(b"[]")


def test_a_large_one_is_not_read() -> None:
    assert "larger than 64 KiB" in _refusal(b" " * 70_000)


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        ("a/background.json", True),
        ("background.json", True),
        ("a/1.2.3.background.json", True),
        ("a/background.json/PA.dcm", False),
        ("a/mybackground.json", False),
    ],
)
def test_a_sidecar_is_known_by_its_name(key: str, is_one: bool) -> None:
    assert is_sidecar(key) is is_one
