"""A file that is a program too is converted, and nothing that is kept or shown holds a byte of its preamble."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.records import ObjectState
from pipeline.folder_bucket import FolderBucket
from pipeline.overlay import Overlay, standalone
from pipeline.study import Preprocessing
from pipeline.viewcache import FolderViewCache
from tests.dicom_builder import dicom_bytes
from tests.handed_work import work_on
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, convert_object
from worker.triage import Triage

PROGRAM = b"EVILPROGRAM"
PREAMBLES = {
    "PE": b"MZ\x90\0" + PROGRAM.ljust(124, b"\x90"),
    "ELF": b"\x7fELF\x02\x01\x01\0" + PROGRAM.ljust(120, b"\x90"),
}


def _polyglot(kind: str) -> bytes:
    """A sound radiograph whose preamble and a private element hold a program; another one behind its pixels."""
    content = dicom_bytes()
    private = b"\x09\0\x01\x10OB\0\0" + (64).to_bytes(4, "little") + PROGRAM.ljust(64, b"\x90")
    at = content.index(b"\x10\0\x10\0PN")
    return PREAMBLES[kind] + content[128:at] + private + content[at:] + PROGRAM


@pytest.mark.parametrize("kind", PREAMBLES)
def test_a_polyglot_is_converted_and_its_program_is_passed_on_nowhere(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(_polyglot(kind))
    bucket = FolderBucket(tmp_path / "in")
    (ref,) = bucket.list()
    desk = Desk(
        bucket=bucket,
        cache=FolderViewCache(tmp_path / "views"),
        preprocessing=Preprocessing(height=32, width=32, fit="squash"),
        pseudonyms=Pseudonyms(key=b"test"),
        triage=Triage(),
    )
    outcome = convert_object(desk, work_on(bucket, ref))
    assert outcome.state is ObjectState.CONVERTED
    assert "EVIL" not in repr(outcome)
    (view,) = (path for path in (tmp_path / "views").rglob("*") if path.is_file())
    assert _chunks(view.read_bytes()) == {b"IHDR", b"IDAT", b"IEND"}, "a view is pixels and nothing else"


def test_an_overlay_holds_the_view_and_our_own_words() -> None:
    overlay = Overlay(
        sentence="Small effusion.",
        label="Effusion",
        view="frontal",
        heat=np.zeros((32, 32), np.float32),
        method="concept",
    )
    picture, information = standalone(overlay, np.zeros((32, 32), np.uint8), model="model@1")
    assert isinstance(picture, Image.Image)
    assert {chunk for chunk, *_ in information.chunks} == {b"iTXt"}


def _chunks(png: bytes) -> set[bytes]:
    """The kinds of a PNG's chunks, each whole, with nothing behind the last."""
    at, kinds = 8, set()
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == int.from_bytes(png[at + 8 + length : at + 12 + length], "big")
        kinds.add(kind)
        at += 12 + length
    assert at == len(png)
    return kinds
