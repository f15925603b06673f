"""What a header or a sidecar knows reaches the model of `nightread run`, and its text stays nowhere else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest import Manifest
from pipeline.study import Background, Outcome, Report, Reported, Study
from tests.archives import shadow
from tests.checkpoints import write_manifest_alone
from tests.dicom_builder import dicom_bytes
from tests.night import Night
from worker.bootstrap import Site
from worker.night import run_night
from worker.settings import Settings

SECRET = "persistent cough, seen by Dr Zztop"


@dataclass
class SeeingCaptioner:
    """Writes the same for everybody, and keeps what it was told of each revision."""

    told: dict[int, Background] = field(default_factory=dict)
    device_name: str = "cpu"
    driver: str = ""
    dtype: str = "float32"
    decoding: dict[str, Any] = field(default_factory=dict)
    memory_meters: dict[str, Any] = field(default_factory=dict)
    manifest: Manifest = field(init=False)

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        self.told |= {study.key: study.background for study in studies}
        report = Report(findings="The lungs are clear.", impression="No acute disease.", confidence=-0.1)
        return [Reported(key=study.key, report=report) for study in studies]


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> SeeingCaptioner:
    one = SeeingCaptioner()

    def load(site: Site, *_: Any) -> SeeingCaptioner:
        one.manifest = site.manifest
        return one

    monkeypatch.setattr(Site, "load_captioner", load)
    return one


def _write(archive: Path, study: str, **elements: Any) -> Path:
    file = archive / study / "PA.dcm"
    file.parent.mkdir(parents=True, exist_ok=True)
    uids: dict[str, Any] = {"StudyInstanceUID": study, "SOPInstanceUID": f"{study}.1"}
    file.write_bytes(dicom_bytes(shadow(len(study)), **uids, **elements))
    return file


def _write_sidecar(archive: Path, study: str, **told: Any) -> None:
    (archive / study / "background.json").write_text(json.dumps({"StudyInstanceUID": study, **told}))


@pytest.fixture
def night(tmp_path: Path) -> Night:
    archive = tmp_path / "archive"
    _write(archive, "1.1", ReasonForTheRequestedProcedure=SECRET, PatientAge="063Y", PatientSex="F")
    _write(archive, "1.2", ReasonForTheRequestedProcedure="x ray", PatientBirthDate="19600301", PatientSex="M")
    _write_sidecar(archive, "1.2", indication=SECRET)
    _write(archive, "1.3")
    return Night(home=tmp_path / "home", source=archive)


def _run(night: Night, **settings: Any) -> int:
    model = write_manifest_alone(night.home.parent / "model")
    given = {"pseudonym_key": "test", "processes": 1, "model": str(model), **settings}
    return run_night(
        Settings(home=night.home, source=str(night.source), **given),
        page=None,
        limit=None,
        quiet_seconds=0,
        as_json=True,
    )


def _told(night: Night, captioner: SeeingCaptioner) -> dict[str, Background]:
    studies = night.query(
        "SELECT v.id, s.study_instance_uid FROM study_revision v JOIN study s ON s.id = v.study_id"
    )
    return {uid: captioner.told[revision] for revision, uid in studies}


def _files_with(night: Night, text: str) -> list[Path]:
    """What is on the disk once the log has gone into the database, as it does when the run's process ends."""
    night.query("PRAGMA wal_checkpoint(TRUNCATE)")
    return [file for file in night.home.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_the_model_is_told_and_the_text_is_in_no_file_afterwards(
    night: Night, captioner: SeeingCaptioner, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(night) == 0
    assert _told(night, captioner) == {
        "1.1": Background(indication=SECRET, age=63, sex="F"),
        "1.2": Background(indication=SECRET, age=63, sex="M"),
        "1.3": Background(),
    }
    kept = {uid: json.loads(text) for uid, text in night.query(
        "SELECT s.study_instance_uid, r.background FROM report r JOIN study s ON s.id = r.study_id"
    )}  # fmt: skip
    digest = kept["1.1"].pop("indication")
    assert len(digest) == 32
    assert kept == {
        "1.1": {"age": 63.0, "sex": "F"},
        "1.2": {"indication": digest, "age": 63.0, "sex": "M"},
        "1.3": {},
    }
    assert _files_with(night, "Zztop") == []
    out, err = capfd.readouterr()
    assert "Zztop" not in out + err
    assert night.query("SELECT reason FROM object WHERE state = 'skipped'") == [
        ("a sidecar: it tells of its study, and is no image",)
    ]


def test_a_site_may_keep_the_texts(night: Night, captioner: SeeingCaptioner) -> None:
    assert _run(night, indication="keep") == 0
    assert night.query(f"SELECT count(*) FROM instance WHERE indication = '{SECRET}'") == [(2,)]
    assert _files_with(night, "Zztop") == [night.home / "nightread.db"]


def test_a_site_may_have_no_texts_at_all(night: Night, captioner: SeeingCaptioner) -> None:
    assert _run(night, indication="off") == 0
    assert {uid: (told.indication, told.age) for uid, told in _told(night, captioner).items()} == {
        "1.1": ("", 63),
        "1.2": ("", 63),
        "1.3": ("", None),
    }


def test_a_bad_sidecar_fails_with_its_reason_and_the_study_is_reported(
    night: Night, captioner: SeeingCaptioner
) -> None:
    assert isinstance(night.source, Path)
    _write_sidecar(night.source, "1.2", indication=SECRET, age="old")
    assert _run(night) == 1
    failed = night.query("SELECT reason FROM object WHERE state = 'failed'")
    assert failed == [("the sidecar background.json is wrong: age must be a number of years from 0 to 120",)]
    assert _told(night, captioner)["1.2"] == Background(indication="x ray", age=63, sex="M")
    assert night.count_reports() == 3
