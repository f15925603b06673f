"""The evaluation page and its cases: what is chosen, how it is marked, and that it needs nothing else."""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.checkpoint import load_checkpoint
from pipeline.study import Preprocessing, Report, Study
from training.assessment import Assessment
from training.datasets import Example, ImageArchive
from training.drafts import Draft
from training.evaluate import Comparison, judge
from training.evaluation_cases import Mark, choose_cases, worst_mark
from training.evaluation_page import Overlay, render_page, write_page
from training.latency import Latency
from training.scores import R2GenProtocol

TEXTS = [
    ("The lungs are clear.", "No acute disease."),
    ("The heart is enlarged. Small left effusion.", "Mild cardiomegaly."),
    ("Calcified granuloma in the right lung. <b>.", "No acute disease."),
]
DRAFTS = [
    ("The lungs are clear.", "No acute disease."),
    ("The heart is enlarged. The thoracic aorta is tortuous.", "Cardiomegaly."),
    ("The lungs are clear.", "No acute disease."),
]


@pytest.fixture(scope="module")
def assessment(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    folder = tmp_path_factory.mktemp("data")
    with zipfile.ZipFile(folder / "images.zip", "w") as images:
        stream = io.BytesIO()
        Image.fromarray(np.zeros((32, 32), dtype=np.uint8)).save(stream, "PNG")
        images.writestr("a.png", stream.getvalue())
    (folder / "studies.json").write_text("[]")
    examples = [
        Example(
            study=f"S{number}",
            split="val",
            frontal="a.png",
            lateral=None,
            findings=findings,
            impression=impression,
            problems=frozenset({"normal"}),
            mesh=frozenset(),
        )
        for number, (findings, impression) in enumerate(TEXTS)
    ]
    drafts = [
        Draft(findings=f, impression=i, report=Report(findings=f, impression=i, confidence=-1)) for f, i in DRAFTS
    ]
    protocol = R2GenProtocol.from_train([example.findings for example in examples])
    judged = [judge(name, drafts, examples, protocol, meteor=False) for name in ("tiny 7", "constant")]
    return Assessment(
        manifest=load_checkpoint(saved).manifest,
        split="val",
        comparison=Comparison(evaluations=judged, examples=examples, drafts=drafts),
        archive=ImageArchive(folder, Preprocessing(height=64, width=64, fit="squash")),
        device="cpu",
        latencies=[Latency(batch_size=1, studies=3, median=0.5, p90=0.75)],
    )


def test_findings_are_marked_as_agreed_missed_and_invented(assessment: Assessment) -> None:
    cases = {case.example.study: case for kind in choose_cases(assessment.comparison).values() for case in kind}
    ill = cases["S1"]
    assert [sentence.marks for sentence in ill.reference.findings] == [
        (("Cardiomegaly", Mark.AGREED),),
        (("Pleural Effusion", Mark.MISSED),),
    ]
    assert [sentence.marks for sentence in ill.generated.findings] == [
        (("Cardiomegaly", Mark.AGREED),),
        (("Aorta, Thoracic", Mark.INVENTED),),
    ]
    assert ill.counts == {Mark.AGREED: 1, Mark.MISSED: 1, Mark.INVENTED: 1}
    assert [worst_mark(sentence) for sentence in ill.reference.findings] == ["agreed", "missed"]
    assert cases["S0"].score == pytest.approx(1.0)


def test_each_case_is_shown_once_and_the_best_name_a_finding(assessment: Assessment) -> None:
    chosen = choose_cases(assessment.comparison, shown=1)
    assert {kind: [case.example.study for case in cases] for kind, cases in chosen.items()} == {
        "best": ["S1"],
        "worst": ["S2"],
        "random": ["S0"],
    }


def test_the_page_shows_figures_intervals_and_cases_and_loads_nothing(assessment: Assessment) -> None:
    page = render_page(assessment)
    for phrase in ("Draft for a radiologist", "95 % interval", "constant", "CIDEr", "0.500 s per study", "missed"):
        assert phrase in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    sources = set(re.findall(r'(?:src|href)="([^"]{0,23})', page))
    assert sources == {"data:image/jpeg;base64,"}
    assert "default-src 'none'" in page


def test_an_explainer_adds_its_overlays(assessment: Assessment, tmp_path: Path) -> None:
    def explain(study: Study, report: Report) -> Sequence[Overlay]:
        return [Overlay(sentence=report.impression, view="frontal", pixels=np.zeros((8, 8, 3), dtype=np.uint8))]

    write_page(assessment, tmp_path / "page.html", explain)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("Where the model looked, frontal view") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_json_holds_what_a_manifest_keeps(assessment: Assessment) -> None:
    told = json.loads(json.dumps(assessment.json))
    own = assessment.comparison.evaluations[0]
    assert told["metrics"]["model"] == pytest.approx(own.summary)
    assert told["metrics"]["intervals"]["CIDEr"] == list(own.intervals["CIDEr"])
    assert told["metrics"]["labels"] == {}
    assert set(told["metrics"]) == {"model", "intervals", "labels", "constant"}
    assert told["latency"] == [{"batch_size": 1, "studies": 3, "median": 0.5, "p90": 0.75}]
    assert any("METEOR" in note for note in told["notes"])
    assert "95 % interval" in assessment.table
