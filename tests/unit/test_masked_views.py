"""What is kept of an image with a name in its pixels: no name, unless the site says so; and a note."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from db.records import ObjectState
from pipeline.folder_bucket import FolderBucket
from pipeline.handling import Handling
from pipeline.study import Preprocessing
from pipeline.viewcache import FolderViewCache
from tests.dicom_builder import dicom_bytes
from tests.handed_work import work_on
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, convert_object
from worker.triage import Triage

SIZE = Preprocessing(height=300, width=300, fit="squash")


@pytest.mark.parametrize("masks_text", [True, False])
def test_a_kept_view_shows_a_name_only_where_the_site_wants_it(tmp_path: Path, *, masks_text: bool) -> None:
    image = np.full((300, 300), 60, np.uint8)
    cv2.putText(image, "DOE^JANE 1950", (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(dicom_bytes(image))
    bucket, cache = FolderBucket(tmp_path / "in"), FolderViewCache(tmp_path / "views")
    desk = Desk(
        bucket=bucket,
        cache=cache,
        preprocessing=SIZE,
        pseudonyms=Pseudonyms(key=b"test"),
        triage=Triage(),
        handling=Handling(masks_text=masks_text),
    )
    (ref,) = bucket.list()
    outcome = convert_object(desk, work_on(bucket, ref))
    assert outcome.state is ObjectState.CONVERTED
    assert outcome.instance is not None
    view = cache.get(outcome.instance.sha256 or "", SIZE)
    assert view is not None
    assert ("text near the border masked: 1 region" in outcome.instance.notes) == masks_text
    assert np.array_equal(view, np.full_like(image, 60) if masks_text else image)
