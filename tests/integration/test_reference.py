"""Real files look here as they look in DCMTK: 99.5 % of the pixels within one grey level, before any resize.

The reference is DCMTK's display of what DCMTK's own decoders, or for JPEG 2000 GDCM's, make of the file, with the
window that pydicom reads. Every grey file that decodes is compared, whatever its modality: the gate is left out,
so that more syntaxes, depths and signs are met than radiographs alone have. Where we differ on purpose,
`reference_exceptions.toml` names the file and the reason, and DCMTK is told of it; then the two must agree again.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.dicom import RADIOGRAPH_MODALITIES
from pipeline.errors import NightreadError
from tests import reference
from tests.gateless import Shown, show
from tests.reference import Choice, NoReference

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("NIGHTREAD_TEST_DATA", ROOT.parent / "shared")) / "dicom"
EXCEPTIONS = tomllib.loads(Path(__file__).with_name("reference_exceptions.toml").read_text(encoding="utf-8"))
CAUSES = {key: cause for cause, entry in EXCEPTIONS.items() for key in entry["files"]}
ENOUGH = 0.995  # of the pixels
NEAR = 1  # grey level
MEAN = 2.0  # grey levels; all that is asked where percentiles are taken from a sample
SYNTAX = "1.2.840.10008.1.2"

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no corpus at {FOLDER}: set NIGHTREAD_TEST_DATA"),
    pytest.mark.timeout(1800),  # half a minute of CPU time in 500 processes; minutes on a busy machine
]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One file here and there."""

    name: str
    modality: str
    shown: Shown
    declared: float | None  # share of pixels that agree with the header's own window; None where none can be had
    told: float | None  # the same once DCMTK is told of the exception; or the mean difference, for `about`


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Comparison]:
    reference.need_tools()
    room = tmp_path_factory.mktemp("reference")
    return {key: _compare(key, path, ours, room) for key, path, ours in _grey_files()}


def _grey_files() -> Iterator[tuple[str, Path, Shown]]:
    for path in sorted(FOLDER.rglob("*")):
        if not path.is_file() or path.suffix in {".json", ".md"}:
            continue
        try:
            ours = show(path)
        except NightreadError:
            continue
        if ours.frame.layout.samples == 1:
            yield hashlib.sha256(path.read_bytes()).hexdigest()[:16], path, ours


def _compare(key: str, path: Path, ours: Shown, room: Path) -> Comparison:
    declared = told = None
    dataset = reference.header(path)
    try:
        native = reference.decoded(path, ours.syntax, room)
        plain = reference.declared(dataset)
        declared = _agreement(ours, reference.shown(native, plain, room))
        if key in CAUSES:
            told = _told(EXCEPTIONS[CAUSES[key]]["told"], ours, native, plain, room)
    except NoReference:
        pass
    for left in room.iterdir():
        left.unlink()
    return Comparison(
        name=path.name, modality=str(dataset.get("Modality", "")), shown=ours, declared=declared, told=told
    )


def _told(kind: str, ours: Shown, native: Path, plain: Choice, room: Path) -> float:
    choice = reference.padded(native, plain.window) if kind == "padding" else reference.percentiles(native)
    theirs = reference.shown(native, choice, room)
    if kind == "about":
        return float(np.abs(ours.image.pixels.astype(int) - theirs).mean())
    return _agreement(ours, theirs)


def _agreement(ours: Shown, theirs: NDArray[np.uint8]) -> float:
    assert ours.image.pixels.shape == theirs.shape
    return float((np.abs(ours.image.pixels.astype(int) - theirs) <= NEAR).mean())


def test_every_file_without_an_exception_looks_as_in_dcmtk(comparisons: dict[str, Comparison]) -> None:
    others = {key: found for key, found in comparisons.items() if key not in CAUSES}
    assert {found.name: found.declared for found in others.values() if (found.declared or 0) < ENOUGH} == {}
    assert len(others) > 100


@pytest.mark.parametrize("cause", EXCEPTIONS)
def test_an_exception_is_one_and_its_cause_is_all_of_it(cause: str, comparisons: dict[str, Comparison]) -> None:
    entry = EXCEPTIONS[cause]
    for key in entry["files"]:
        found = comparisons[key]
        assert (found.declared or 0) < ENOUGH, f"{found.name} looks as in DCMTK: no exception"
        if entry["told"] == "none":
            assert found.declared is None, f"{found.name} can be shown by DCMTK"
        elif entry["told"] == "about":
            assert found.told is not None
            assert found.told <= MEAN, found.name
        else:
            assert (found.told or 0) >= ENOUGH, found.name


def test_every_radiograph_and_most_syntaxes_depths_and_signs_are_compared(
    comparisons: dict[str, Comparison],
) -> None:
    layouts = [found.shown.frame.layout for found in comparisons.values()]
    assert {layout.photometric for layout in layouts} == {"MONOCHROME1", "MONOCHROME2"}
    assert {layout.signed for layout in layouts} == {False, True}
    assert {layout.bits_stored for layout in layouts} >= {8, 10, 12, 15, 16}
    endings = {
        "",
        ".1",
        ".1.99",
        ".2",
        ".5",
        ".4.50",
        ".4.51",
        ".4.57",
        ".4.70",
        ".4.80",
        ".4.81",
        ".4.90",
        ".4.91",
    }
    assert {found.shown.syntax.removeprefix(SYNTAX) for found in comparisons.values()} >= endings
    assert sum(found.modality in RADIOGRAPH_MODALITIES for found in comparisons.values()) > 20
