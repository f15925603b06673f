"""Objects made to hurt cost little and end with a reason; measured in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ObjectChanged, Unavailable
from pipeline.study import Preprocessing, Refused
from tests.dicom_builder import dicom_bytes
from tests.hostile_objects import OBJECTS

ROOT = Path(__file__).parents[2]
CONVERTED = {
    "10000 frames of a small image",
    "2147483647 compressed frames",
    "100000 frames of a compressed image",
    "a deflated frame that grows",  # no further than its image's size
    "nesting of 400",
    "pixels of 4 GB",
    "a JPEG frame of 8000×8000",
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    command = [sys.executable, "-W", "error", "-m", "tests.hostile_objects"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    assert done.stderr == b"", "hostile values must not reach a log"
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.mark.parametrize("name", OBJECTS)
def test_a_hostile_object_ends_soon_and_with_a_reason(report: dict[str, Any], name: str) -> None:
    result = report["outcomes"][name]
    assert result["seconds"] < 10
    assert result["outcome"] == ("converted" if name in CONVERTED else "failed")
    assert result["reason"] or name in CONVERTED
    assert "cannot be decoded" not in result["reason"], "every hostile object here has a reason of its own"


def test_all_hostile_objects_together_stay_under_a_gigabyte(report: dict[str, Any]) -> None:
    assert report["peak"] < 1 << 30


class _Stream:
    """A forward-only stream that counts, and breaks where it is told."""

    def __init__(
        self, content: bytes, *, broken_at: int | None = None, error: BaseException | None = None
    ) -> None:
        self._content = content
        self._broken_at = broken_at
        self._error = error
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        if self._error is not None and self._broken_at is not None and self.taken >= self._broken_at:
            raise self._error
        end = len(self._content) if size < 0 else self.taken + size
        chunk = self._content[self.taken : end]
        self.taken += len(chunk)
        return chunk


def _convert(stream: _Stream, size: int) -> object:
    from typing import BinaryIO, cast

    from pipeline.conversion import convert

    return convert(cast(BinaryIO, stream), size=size, preprocessing=Preprocessing(height=8, width=8, fit="squash"))


@pytest.mark.parametrize("error", [Unavailable("the network is down"), ObjectChanged("replaced")])
@pytest.mark.parametrize("broken_at", [0, 20_000])
def test_what_the_stream_raises_passes_through(error: Exception, broken_at: int) -> None:
    import numpy as np

    content = dicom_bytes(np.zeros((256, 256), np.uint16))
    with pytest.raises(type(error)):
        _convert(_Stream(content, broken_at=broken_at, error=error), len(content))


def test_a_disk_that_breaks_is_not_the_objects_fault() -> None:
    with pytest.raises(Unavailable, match="could not be read"):
        _convert(_Stream(dicom_bytes(), broken_at=0, error=OSError(5, "Input/output error")), 1000)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_a_wish_to_stop_is_obeyed(error: BaseException) -> None:
    with pytest.raises(type(error)):
        _convert(_Stream(dicom_bytes(), broken_at=0, error=error), 1000)


def test_what_native_code_raises_outside_exception_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As a Rust extension raises it."""

    def panic(*_: object) -> None:
        raise PanicException("ZZTOP")

    monkeypatch.setattr("pipeline.conversion.render", panic)
    result = _convert(_Stream(dicom_bytes()), len(dicom_bytes()))
    assert isinstance(result, Refused)
    assert result.failed
    assert result.reason.startswith("cannot be decoded (")
    assert "ZZTOP" not in result.reason


def test_a_ct_slice_costs_one_small_read() -> None:
    import numpy as np

    content = dicom_bytes(np.zeros((512, 512), np.uint16), SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    stream = _Stream(content)
    _convert(stream, len(content))
    assert stream.taken < 0.05 * len(content)


def test_an_object_longer_than_listed_fails() -> None:
    content = dicom_bytes()
    result = _convert(_Stream(content + bytes(50_000)), len(content))
    assert isinstance(result, Refused)
    assert result.failed


def test_reasons_never_quote_the_patient() -> None:
    from tests.dicom_builder import convert_bytes

    secret = "ZZTOP^SECRET"
    for keyword in ("Modality", "PhotometricInterpretation", "SOPClassUID", "ConversionType", "ViewPosition"):
        elements: dict[str, Any] = {keyword: secret}
        result = convert_bytes(dicom_bytes(**elements))
        assert "ZZTOP" not in getattr(result, "reason", "")
        assert "ZZTOP" not in str(getattr(getattr(result, "view", None), "notes", ""))
