"""The table of expected outcomes is right: it was made by eye and by reference, not by our own code alone.

`corpus_outcomes.json` is written by `test_corpus` and then judged here, line by line, by what shares no code with
us: pydicom reads each header, the gate's rules are applied to that anew (`tests/corpus_derivation.py`), DCMTK or
GDCM decodes what passes, and `corpus_by_eye.toml` holds what a person saw in each image that is converted. Where
they disagreed, the file was looked at: an oblique mammogram that we called lateral and an electrocardiogram that
we called an image were faults of ours. A line that changes must pass here again.
"""

import hashlib
import json
import os
import tomllib
from pathlib import Path

import pytest

from tests import reference
from tests.corpus_derivation import Expected, expected

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("NIGHTREAD_TEST_DATA", ROOT.parent / "shared")) / "dicom"
HERE = Path(__file__).parent
OUTCOMES: dict[str, str] = json.loads((HERE / "corpus_outcomes.json").read_text(encoding="utf-8"))
IMAGES = tomllib.loads((HERE / "corpus_by_eye.toml").read_text(encoding="utf-8"))["image"]
SEEN = {key: image for image in IMAGES for key in image["files"]}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no corpus at {FOLDER}: set NIGHTREAD_TEST_DATA")


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Expected]:
    reference.need_tools()
    room = tmp_path_factory.mktemp("derivation")
    paths = {
        hashlib.sha256(path.read_bytes()).hexdigest()[:16]: path for path in FOLDER.rglob("*") if path.is_file()
    }
    return {key: expected(paths[key], room) for key in OUTCOMES if key in paths}


def test_the_table_is_what_others_make_of_the_files(derived: dict[str, Expected]) -> None:
    assert set(derived) == set(OUTCOMES)
    disagreeing = {
        key: (OUTCOMES[key], theirs)
        for key, theirs in derived.items()
        if not OUTCOMES[key].startswith(theirs.kind) or theirs.ground not in OUTCOMES[key]
    }
    assert disagreeing == {}


def test_every_image_that_is_converted_was_looked_at_and_its_projection_is_not_absurd() -> None:
    converted = {key: outcome for key, outcome in OUTCOMES.items() if outcome.startswith("converted: ")}
    assert set(converted) == set(SEEN)
    told = {key: outcome.removeprefix("converted: ").split(";")[0] for key, outcome in converted.items()}
    assert {key: SEEN[key]["seen"] for key in told if told[key] not in SEEN[key]["projections"]} == {}


def test_every_chest_that_was_seen_is_converted_as_frontal() -> None:
    chests = [key for key, image in SEEN.items() if image["seen"].startswith("chest")]
    assert len(chests) == 4
    assert all(OUTCOMES[key].startswith("converted: frontal") for key in chests)
