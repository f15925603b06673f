"""Real files that nobody here wrote: each ends with a view or a reason, and its header is as pydicom reads it.

The files stay outside the project (their licences want it so): NIGHTREAD_TEST_DATA names the folder that holds
`dicom/`, default `../shared` beside the project. `corpus_outcomes.json` is the table of expected outcomes, by the
first 16 digits of each file's SHA-256; `python -m tests.integration.test_corpus` writes it anew, to be read as a
diff.
"""

import hashlib
import json
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from pipeline.conversion import convert
from pipeline.folder_bucket import FolderBucket
from pipeline.study import Conversion, Converted, Pixels, Preprocessing

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("NIGHTREAD_TEST_DATA", ROOT.parent / "shared")) / "dicom"
TABLE = Path(__file__).with_name("corpus_outcomes.json")
PREPROCESSING = Preprocessing(height=256, width=256, fit="letterbox")
CHESTS = ("966_fixed", "RG1_JLSN", "RG1_J2KI", "JPEG2KLossless_1s_1f_u_16_16")
LISTS = {".json", ".md"}  # the corpus' own index and description

EARLY = {"StudyInstanceUID", "SeriesInstanceUID", "Modality"}  # read of every object, refused ones too
KEYWORDS = {
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "Modality": "modality",
    "SOPInstanceUID": "sop_instance_uid",
    "Rows": "rows",
    "Columns": "columns",
    "BitsStored": "bits_stored",
    "BodyPartExamined": "body_part_examined",
    "PhotometricInterpretation": "photometric_interpretation",
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no corpus at {FOLDER}: set NIGHTREAD_TEST_DATA")


def outcome(result: Conversion) -> str:
    if isinstance(result, Converted):
        return "; ".join((f"converted: {result.header.projection}", *result.view.notes))
    return f"{'failed' if result.failed else 'skipped'}: {result.reason}"


def convert_all() -> dict[Path, Conversion]:
    """Every file, through the bucket as a run would read it."""
    bucket = FolderBucket(FOLDER)
    results: dict[Path, Conversion] = {}
    for ref in bucket.list():
        path = FOLDER / ref.key
        if path.suffix in LISTS:
            continue
        with bucket.open(ref) as stream:
            results[path] = convert(stream, size=ref.size, preprocessing=PREPROCESSING)
    return results


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def results() -> dict[Path, Conversion]:
    return convert_all()


def views(results: dict[Path, Conversion], name: str) -> list[Pixels]:
    found = [result for path, result in results.items() if name in path.name]
    assert found, name
    assert all(isinstance(result, Converted) for result in found), name
    return [result.view.pixels for result in found if isinstance(result, Converted)]


def test_every_file_ends_as_the_table_says(results: dict[Path, Conversion]) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert len(results) >= len(table)
    found = {digest(path)[:16]: outcome(result) for path, result in results.items()}
    changed = {key: (table[key], found.get(key)) for key in table if table[key] != found.get(key)}
    assert changed == {}


def test_no_reason_is_a_decoders_own_exception(results: dict[Path, Conversion]) -> None:
    assert [path.name for path, result in results.items() if "cannot be decoded (" in outcome(result)] == []


def test_a_view_names_the_bytes_it_came_from(results: dict[Path, Conversion]) -> None:
    for path, result in results.items():
        if isinstance(result, Converted):
            assert result.sha256 == digest(path)


@pytest.mark.parametrize("name", CHESTS)
def test_every_real_chest_radiograph_converts_and_shows_something(
    results: dict[Path, Conversion], name: str
) -> None:
    for pixels in views(results, name):
        assert pixels.shape == (256, 256)
        assert pixels.std() > 20
        assert np.ptp(pixels) > 200


@pytest.mark.parametrize(("name", "lossy"), [("RG2_", 3), ("RG3_", 3)])
def test_the_same_image_in_every_syntax_gives_the_same_view(
    results: dict[Path, Conversion], name: str, lossy: int
) -> None:
    lossless = [view for kind in ("JLSL", "J2KR", "RLE", "JPLL") for view in _of(results, f"{name}{kind}")]
    assert len(lossless) >= 3
    for view in lossless:
        assert np.array_equal(view, lossless[0])
    for view in views(results, name):
        assert np.abs(view.astype(int) - lossless[0]).mean() < lossy


def _of(results: dict[Path, Conversion], name: str) -> list[Pixels]:
    return views(results, name) if any(name in path.name for path in results) else []


def test_headers_are_what_pydicom_reads(results: dict[Path, Conversion]) -> None:
    """The independent reader is pydicom: whatever it can read, we read alike."""
    compared = Counter[str]()
    for path, result in results.items():
        if result.header is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            except Exception:  # noqa: BLE001 (what it cannot read, it cannot judge)
                continue
            theirs_by_keyword = {keyword: _text(theirs, keyword) for keyword in KEYWORDS}
        ours = result.header
        for keyword, attribute in KEYWORDS.items():
            value = str(getattr(ours, attribute))
            if keyword in EARLY or isinstance(result, Converted):
                assert value == theirs_by_keyword[keyword], (path.name, keyword)
                compared[keyword] += bool(value)
    assert min(compared[keyword] for keyword in EARLY) > 300
    assert compared["SOPInstanceUID"] > 20


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword, "") or "").strip()


if __name__ == "__main__":
    lines = {digest(path)[:16]: outcome(result) for path, result in convert_all().items()}
    TABLE.write_text(json.dumps(lines, indent=0, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
