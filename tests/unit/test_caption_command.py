"""`nightread caption`: what is typed is told before a sidecar, and a sidecar before a header; and overlays."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BadObject, UsageError
from pipeline.manifest import Manifest, load_manifest
from pipeline.overlay import NOTICE, Overlay
from pipeline.study import Background, Outcome, Report, Reported, Study
from tests.checkpoints import write_manifest_alone
from tests.dicom_builder import dicom_bytes
from worker.bootstrap import Site
from worker.settings import Settings, load_settings
from worker.single import caption_paths


class _Captioner:
    """Keeps what it was told."""

    told: Background

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        (study,) = studies
        self.told = study.background
        return [Reported(key=study.key, report=Report(findings="a", impression="b", confidence=-1))]


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> _Captioner:
    one = _Captioner()
    monkeypatch.setattr(Site, "load_captioner", lambda *_: one)
    return one


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "PA.dcm").write_bytes(dicom_bytes(ReasonForStudy="cough", PatientAge="063Y", PatientSex="F"))
    return folder


def _write_sidecar(folder: Path, **told: Any) -> None:
    (folder / "background.json").write_text(json.dumps({"StudyInstanceUID": "1.2.3", **told}))


def _caption(study: Path, given: Background, *, is_told: bool = True, **settings: Any) -> None:
    model = write_manifest_alone(study.parent / "model", is_told=is_told)
    assert caption_paths(Settings(model=str(model), **settings), [study], given, as_json=True) == 0


def test_what_is_typed_comes_first_then_the_sidecar_then_the_header(study: Path, captioner: _Captioner) -> None:
    _caption(study, Background())
    assert captioner.told == Background(indication="cough", age=63, sex="F")
    _write_sidecar(study, indication="fever", age=64)
    _caption(study, Background(age=65))
    assert captioner.told == Background(indication="fever", age=65, sex="F")
    _caption(study, Background(indication="fall"), indication="off")
    assert captioner.told == Background(indication="fall", age=64, sex="F")


def test_a_sidecar_of_another_study_is_passed(
    study: Path, captioner: _Captioner, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_sidecar(study, StudyInstanceUID="9.9", indication="fever")
    _caption(study, Background())
    assert captioner.told.indication == "cough"
    assert "background.json: of another study" in capsys.readouterr().err


def test_a_wrong_sidecar_is_named(study: Path, captioner: _Captioner) -> None:
    _write_sidecar(study, age="old")
    with pytest.raises(BadObject, match=r"background\.json: the sidecar .* age must be"):
        _caption(study, Background())


def test_a_model_that_reads_none_of_it_is_told_nothing(
    study: Path, captioner: _Captioner, capsys: pytest.CaptureFixture[str]
) -> None:
    _caption(study, Background(indication="fall"), is_told=False)
    assert captioner.told == Background()
    assert "stand-in 1 reads no indication, age or sex" in capsys.readouterr().err


SENTENCE = "The heart/aorta is enlarged."


class _Looking(_Captioner):
    """Looked at the upper left corner for the one finding that it named."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def explain(self, study: Study, report: Report) -> list[Overlay]:
        assert study.frontal is not None
        heat = np.zeros(study.frontal.shape, dtype=np.float32)
        heat[:16, :16] = 1
        return [
            Overlay(sentence=SENTENCE, label="../Cardio", view="frontal", heat=heat, method="concept"),
            Overlay(sentence="Fluid.", label="Pleural Effusion", view="frontal", heat=heat.T, method="words"),
        ]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder = write_manifest_alone(tmp_path / "model")
    monkeypatch.setattr(Site, "load_captioner", lambda *_: _Looking(load_manifest(folder)))
    return load_settings({"model": str(folder)})


def test_overlays_are_written_with_safe_names_and_told(
    study: Path, model: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "looks"
    assert caption_paths(model, [study], Background(), as_json=True, overlay=folder) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["notice"]
    assert told["overlays"][0] == {
        "sentence": SENTENCE,
        "label": "../Cardio",
        "view": "frontal",
        "method": "concept",
        "file": str(folder / "01-frontal-cardio.png"),
    }
    assert sorted(path.name for path in folder.iterdir()) == [
        "01-frontal-cardio.png",
        "02-frontal-pleural-effusion.png",
    ]
    with Image.open(folder / "01-frontal-cardio.png") as picture:
        assert picture.info["Comment"] == NOTICE
        assert picture.height > picture.width  # the words below the view
        colours = np.asarray(picture.convert("RGB")).astype(int)
    assert colours[20, 20, 0] - colours[20, 20, 2] > 40  # warm in the corner, elsewhere as grey as the view
    assert len(set(colours[400, 400])) == 1


def test_the_paths_are_printed_with_what_they_are_not(
    study: Path, model: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caption_paths(model, [study], Background(), as_json=False, overlay=tmp_path / "looks")
    printed = capsys.readouterr().out
    assert "not a diagnosis: where the model looked" in printed
    assert f"{tmp_path / 'looks' / '02-frontal-pleural-effusion.png'}  Pleural Effusion" in printed


def test_pictures_of_another_study_are_not_mixed_with_this_ones(
    study: Path, model: Settings, tmp_path: Path
) -> None:
    (tmp_path / "01-frontal-cardiomegaly.png").touch()
    with pytest.raises(UsageError, match=r"already holds .*; give --overlay a new or empty folder"):
        caption_paths(model, [study], Background(), as_json=False, overlay=tmp_path)
