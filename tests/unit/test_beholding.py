"""What becomes of a projection when the pixels were looked at: told, contradicted, doubted, left alone."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.beholding import weighed
from pipeline.study import VIEW_CLASSIFIER, Header, Pixels, Projection, View
from pipeline.view_classifier import Opinion, Thresholds

THRESHOLDS = Thresholds(tells=0.9, contradicts=0.99, inverted=0.95)
VIEW = View(pixels=np.zeros((64, 64), np.uint8), notes=("earlier",))
HEADER = Header(
    sop_instance_uid="1",
    sop_class_uid="2",
    study_instance_uid="3",
    series_instance_uid="4",
    transfer_syntax_uid="5",
    modality="CR",
)


def after(
    stated: Projection, *, frontal: float = 0.0, lateral: float = 0.0, inverted: float = 0.0
) -> tuple[Projection, str, float | None, tuple[str, ...]]:
    """What the header says and the view notes after an opinion of these shares."""

    def look(_: Pixels) -> Opinion:
        return Opinion(frontal=frontal, lateral=lateral, other=1 - frontal - lateral, inverted=inverted)

    source = "ViewPosition" if stated is not Projection.UNKNOWN else ""
    told = replace(HEADER, projection=stated, projection_source=source)
    header, view = weighed(told, VIEW, look, THRESHOLDS)
    return header.projection, header.projection_source, header.projection_confidence, view.notes[1:]


def test_a_sure_opinion_tells_what_the_header_does_not() -> None:
    assert after(Projection.UNKNOWN, lateral=0.93) == (Projection.LATERAL, VIEW_CLASSIFIER, 0.93, ())
    assert after(Projection.UNKNOWN, frontal=0.9123456) == (Projection.FRONTAL, VIEW_CLASSIFIER, 0.9123, ())


def test_an_unsure_opinion_tells_nothing() -> None:
    assert after(Projection.UNKNOWN, frontal=0.6, lateral=0.3) == (Projection.UNKNOWN, "", None, ())


@pytest.mark.parametrize(
    ("lateral", "projection", "source", "confidence", "end"),
    [
        (0.5, Projection.FRONTAL, "ViewPosition", 0.5, None),
        (0.95, Projection.FRONTAL, "ViewPosition", 0.05, "left as stated"),
        (0.995, Projection.LATERAL, VIEW_CLASSIFIER, 0.995, "taken as lateral"),
    ],
)
def test_a_header_is_followed_until_the_opinion_against_it_is_surer_than_headers_are(
    lateral: float, projection: Projection, source: str, confidence: float, end: str | None
) -> None:
    told = after(Projection.FRONTAL, frontal=1 - lateral, lateral=lateral)
    doubt = () if end is None else (f"ViewPosition says frontal, but the image looks lateral: {end}",)
    assert told == (projection, source, confidence, doubt)


def test_an_oblique_or_decubitus_view_stays_one() -> None:
    assert after(Projection.OTHER, frontal=1.0) == (Projection.OTHER, "ViewPosition", None, ())


def test_what_looks_like_no_chest_or_inverted_is_noted_and_left() -> None:
    assert after(Projection.FRONTAL, frontal=0.02)[3] == ("looks like no frontal or lateral chest",)
    told = after(Projection.FRONTAL, frontal=0.99, inverted=0.97)
    assert told[:3] == (Projection.FRONTAL, "ViewPosition", 0.99)
    assert told[3] == ("looks inverted against its Photometric Interpretation, which was followed",)
    assert after(Projection.FRONTAL, frontal=0.5, lateral=0.2, inverted=0.97)[3] == ()


def test_a_tiny_image_is_not_judged_however_large_its_view() -> None:
    tiny = replace(HEADER, rows=16, columns=512)
    sure = Opinion(frontal=1.0, lateral=0.0, other=0.0, inverted=0.0)
    assert weighed(tiny, VIEW, lambda _: sure, THRESHOLDS) == (tiny, VIEW)
    assert weighed(replace(HEADER, rows=64, columns=64), VIEW, lambda _: sure, THRESHOLDS)[0] != tiny


def test_no_opinion_changes_nothing() -> None:
    assert weighed(HEADER, VIEW, lambda _: None, THRESHOLDS) == (HEADER, VIEW)
