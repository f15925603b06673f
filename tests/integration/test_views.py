"""The shipped view classifier on real views that it never learnt from.

NIGHTREAD_TEST_DATA names the folder that holds `iuxray/`, default `../shared` beside the project.
"""

import os
from pathlib import Path

import pytest

from pipeline.view_classifier import load_classifier
from training.view_data import Seen, chests
from training.view_figures import Figures, figures

FOLDER = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared")) / "iuxray"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no views at {FOLDER}: set NIGHTREAD_TEST_DATA")


@pytest.fixture(scope="module")
def found() -> list[Figures]:
    val: list[Seen] = [one for one in chests(FOLDER) if one.side == "val"]
    return list(figures(load_classifier(), val))


def test_at_least_99_in_100_val_views_are_told_right(found: list[Figures]) -> None:
    made = [row for row in found if row.polarity == "as made"]
    views = sum(row.views for row in made)
    assert views == 606
    assert sum(row.right for row in made) >= 0.99 * views
    assert sum(row.told for row in made) >= 0.95 * views


def test_no_val_view_is_told_wrong_or_contradicted_and_none_looks_inverted(found: list[Figures]) -> None:
    assert [row for row in found if row.wrongly_told or row.contradicted] == []
    assert sum(row.called_inverted for row in found if row.polarity == "as made") == 0


def test_nearly_every_inverted_val_view_is_noticed(found: list[Figures]) -> None:
    turned = [row for row in found if row.polarity == "inverted"]
    assert sum(row.called_inverted for row in turned) >= 0.9 * sum(row.views for row in turned)
