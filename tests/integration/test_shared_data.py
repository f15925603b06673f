"""The data sets that a site may lay beside the project, read as training reads them."""

import os
from collections import Counter
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared"))


@pytest.mark.skipif(not (SHARED / "cxr").is_dir(), reason="the radiographs are not here")
def test_each_collection_of_radiographs_knows_its_labels() -> None:
    from training.sources.radiographs import read_radiographs

    found = read_radiographs(SHARED / "cxr")
    known = Counter(len(item.known) for item in found.radiographs)
    assert known == {15: 2681, 2: 3000, 0: 251}
    assert len(found.licences) > 3
