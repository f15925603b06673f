"""Hostile objects cost no more than 1 GB and 10 s each, end with a reason, and their neighbours are reported."""

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.archives import shadow, write_studies
from tests.dx import DxTags, write_dx
from tests.night import Night

ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)


def _gigantic(folder: Path) -> Path:
    path = write_dx(folder / "gigantic.dcm", shadow(0), DxTags(study="gigantic", name="PA"))
    ds = dcmread(path)
    ds.Rows = ds.Columns = 65535
    ds.NumberOfFrames = 10_000
    ds.save_as(path)
    return path


def _bomb(folder: Path) -> Path:
    """A deflated data set that inflates to 2 GB of zeros."""
    path = write_dx(folder / "bomb.dcm", shadow(0), DxTags(study="bomb", name="PA"))
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    del ds.PixelData
    ds.save_as(path)
    whole = path.read_bytes()
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    plain = zlib.decompress(whole[start:], -15) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2_000_000_000)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    with path.open("wb") as out:
        out.write(whole[:start] + squeeze.compress(plain))
        for _ in range(2000):
            out.write(squeeze.compress(bytes(1_000_000)))
        out.write(squeeze.flush())
    return path


def _endless(folder: Path) -> Path:
    """1.25 million empty items in a sequence that never ends: 36 s and 890 MB for a reader without a budget."""
    path = write_dx(folder / "endless.dcm", shadow(0), DxTags(study="endless", name="PA"))
    whole = path.read_bytes()
    at = whole.index(struct.pack("<HH2s", 0x0028, 0x0002, b"US"))
    sequence = struct.pack("<HH2sHI", 0x0018, 0x9346, b"SQ", 0, 0xFFFFFFFF) + ITEM * 1_250_000
    path.write_bytes(whole[:at] + sequence + whole[at:])
    return path


@pytest.mark.parametrize("make", [_gigantic, _bomb, _endless])
def test_a_hostile_object_is_refused_in_time_and_memory(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    archive = tmp_path / "archive"
    write_studies(archive, 2)
    night = Night(home=tmp_path / "home", source=archive)
    night.run()
    calm = time.monotonic()
    night.run()
    calm = time.monotonic() - calm
    hostile = make(archive)
    began = time.monotonic()
    night.run("--processes", "1", expect=(0, 1))
    assert time.monotonic() - began < calm + 15  # 10 s for the object, the rest for a busy machine
    ((state, reason),) = night.query(f"SELECT state, reason FROM object WHERE \"key\" = '{hostile.name}'")
    assert state in ("failed", "skipped")
    assert reason
    assert night.query("SELECT count(*) FROM latest_report") == [(2,)]
