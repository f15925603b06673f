"""Pictures in the run page are of the very model and views that the report was made with, or are not there."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.entries import EntryReport, StudyEntry
from pipeline.exports.run_page import PageStudy, PageView
from pipeline.manifest import load_manifest
from pipeline.overlay import Overlay
from pipeline.study import Finding, Polarity, Report, Study
from tests.checkpoints import write_manifest_alone
from worker.page_looks import looks_of

SENTENCE = "Mild cardiomegaly."
VIEW = np.full((8, 8), 90, np.uint8)
SHOWN = PageStudy(
    study_id=3,
    state="reported",
    views=(PageView(label="lateral", thumbnail=VIEW), PageView(label="frontal, taken for it", thumbnail=VIEW + 1)),
    statements=(Finding(label="Cardiomegaly", polarity=Polarity.PRESENT, sentence=SENTENCE),),
)


class Explaining:
    """Looks at everything; keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.manifest = load_manifest(write_manifest_alone(folder))

    def explain(self, study: Study, report: Report) -> list[Overlay]:
        self.study, self.report = study, report
        facts: Any = {"sentence": SENTENCE, "label": "Cardiomegaly", "method": "concept"}
        heat = np.ones((8, 8), np.float32)
        return [
            Overlay(view="frontal", heat=heat, **facts),
            Overlay(view="lateral", heat=np.zeros_like(heat), **facts),
        ]


@pytest.fixture
def explaining(tmp_path: Path) -> Explaining:
    return Explaining(tmp_path / "model")


def entry(weights: str = "0" * 64) -> StudyEntry:
    report = EntryReport(
        report_id=1,
        revision_id=1,
        findings=SENTENCE,
        impression="",
        confidence=-0.5,
        status="draft",
        created_at=datetime.now(UTC),
        model_name="stand-in",
        model_version="1",
        weights_sha256=weights,
        supersedes_id=None,
        statements=(),
    )
    return StudyEntry(
        study_id=3,
        revision_id=1,
        study_instance_uid="1.2",
        study_date=None,
        modality="DX",
        study_description="",
        state="reported",
        reason="",
        complete_because="",
        revision=1,
        report=report,
        inputs=(),
    )


def test_a_study_is_explained_from_its_views_and_its_stored_text(explaining: Explaining) -> None:
    (look,) = looks_of(explaining, entry(), SHOWN)
    assert (look.sentence, look.label, list(look.pictures)) == (SENTENCE, "Cardiomegaly", ["frontal", "lateral"])
    assert (look.pictures["lateral"] == 90).all()  # cold: the view as it is
    assert (look.pictures["frontal"][..., 0] > 150).all()
    assert explaining.study.frontal is not None
    assert explaining.study.frontal[0, 0] == 91
    assert (explaining.report.findings, explaining.report.statements) == (SENTENCE, SHOWN.statements)


def test_sentences_of_the_same_concept_share_their_pictures_and_others_do_not(
    explaining: Explaining, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, *_) = explaining.explain(
        Study(key=1, frontal=VIEW, lateral=None), Report(findings="", impression="", confidence=0)
    )
    again = replace(first, sentence="The heart is enlarged.")
    words = replace(first, sentence="Odd cardiomegaly.", method="words")
    monkeypatch.setattr(explaining, "explain", lambda *_: [first, words, again])
    looks = looks_of(explaining, entry(), SHOWN)
    assert [look.sentence for look in looks] == [f"{SENTENCE} The heart is enlarged.", "Odd cardiomegaly."]


def test_a_report_by_other_weights_is_not_explained_by_these(explaining: Explaining) -> None:
    assert looks_of(explaining, entry(weights="1" * 64), SHOWN) == ()


def test_a_study_whose_view_is_gone_is_not_explained_by_what_is_left(explaining: Explaining) -> None:
    gone = replace(SHOWN.views[0], thumbnail=None)
    assert looks_of(explaining, entry(), replace(SHOWN, views=(gone, SHOWN.views[1]))) == ()
    assert looks_of(explaining, entry(), replace(SHOWN, views=())) == ()


def test_a_study_that_cannot_be_explained_costs_only_its_pictures(
    explaining: Explaining, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Overlay]:
        raise MemoryError

    monkeypatch.setattr(explaining, "explain", fail)
    assert looks_of(explaining, entry(), SHOWN) == ()
