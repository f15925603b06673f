"""Every command on the demo archive, as a new user would call them; the archive's surprises end as they should."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.night import Night
from worker.demo import DemoSummary, write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoSummary, Night]:
    folder = tmp_path_factory.mktemp("demo")
    summary = write_demo(folder, studies=12, scale=0.4)
    night = Night(home=folder / "home", source=summary.archive)
    night.run(expect=(1,))
    return summary, night


def test_every_study_ends_as_the_archive_foresees(demo: tuple[DemoSummary, Night]) -> None:
    summary, night = demo
    states = dict(night.query("SELECT study_instance_uid, state FROM study_status"))
    known = [study for study in summary.studies if study.study_instance_uid]
    for study in known:
        assert states[study.study_instance_uid] in study.fates, study.case
    assert len(states) == len(known)


def test_the_balance_adds_up(demo: tuple[DemoSummary, Night]) -> None:
    summary, night = demo
    status = json.loads(night.call("status", "--json").stdout)
    assert sum(status["objects"].values()) == summary.objects
    assert status["objects"]["waiting"] == 0
    assert sum(status["studies"].values()) == sum(bool(study.study_instance_uid) for study in summary.studies)
    assert status["notice"] == "Drafts for a radiologist. Not a diagnosis."


def test_the_page_holds_no_patient_data(demo: tuple[DemoSummary, Night]) -> None:
    summary, night = demo
    page = (night.home / "run.html").read_text(encoding="utf-8")
    assert "Draft for a radiologist" in page
    assert "DEMO^" not in page
    assert not any(study.study_instance_uid in page for study in summary.studies if study.study_instance_uid)


def test_names_are_pseudonyms_in_the_database(demo: tuple[DemoSummary, Night]) -> None:
    _, night = demo
    names = night.query("SELECT patient_id, patient_name, accession_number FROM study")
    assert all(len(value) in (0, 32) and "^" not in value for row in names for value in row)
    assert any(row[0] for row in names)


def test_reports_have_both_sections_and_say_that_they_are_drafts(demo: tuple[DemoSummary, Night]) -> None:
    _, night = demo
    out = night.call("reports", "--last", "2").stdout
    assert out.count("FINDINGS") == out.count("IMPRESSION") == out.count("DRAFT by") == 2
    stored = json.loads(night.call("reports", "--json", "--last", "1").stdout)["reports"]
    assert stored[0]["report"]["findings"]
    assert stored[0]["report"]["impression"]


def test_caption_prints_one_study(demo: tuple[DemoSummary, Night]) -> None:
    summary, night = demo
    files = [str(summary.archive / key) for key in summary.case("chest").keys]
    done = night.call("caption", "--json", *files)
    assert done.returncode == 0, done.stderr
    draft = json.loads(done.stdout)
    stored = night.query(
        "SELECT findings, impression FROM latest_report"
        f" WHERE study_instance_uid = '{summary.case('chest').study_instance_uid}'"
    )
    assert [(draft["findings"], draft["impression"])] == stored
    assert draft["notice"].startswith("Drafts for a radiologist")


def test_caption_refuses_files_of_two_studies(demo: tuple[DemoSummary, Night]) -> None:
    summary, night = demo
    files = [str(summary.archive / study.keys[0]) for study in summary.studies[:2]]
    done = night.call("caption", *files)
    assert done.returncode == 2
    assert "belong to 2 studies" in done.stderr


def test_convert_writes_the_views(demo: tuple[DemoSummary, Night], tmp_path: Path) -> None:
    summary, night = demo
    key = summary.case("chest").keys[0]
    done = night.call("convert", str(summary.archive / key), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / f"{Path(key).name}.png") as view:
        assert view.size == (256, 256)
    broken = night.call(
        "convert", str(summary.archive / summary.case("truncated").keys[0]), "--out", str(tmp_path)
    )
    assert broken.returncode == 1
    assert "truncated" in broken.stdout


def test_doctor_finds_everything_well(demo: tuple[DemoSummary, Night]) -> None:
    _, night = demo
    done = night.call("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, checks
    assert set(checks) == {"database", "bucket", "broker", "cache", "names", "model", "device", "decoders"}


def test_doctor_tells_what_is_wrong_and_how_to_mend_it(tmp_path: Path) -> None:
    done = Night(home=tmp_path, source=tmp_path / "nowhere").call("doctor", "--model", str(tmp_path / "none"))
    assert done.returncode == 1
    failing = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in failing] == ["bucket", "model", "device"]
    assert "Traceback" not in done.stderr


def test_retry_puts_the_failed_back_and_they_fail_again(demo: tuple[DemoSummary, Night]) -> None:
    _, night = demo
    before = night.outcome()
    assert "1 put back to work" in night.call("retry").stdout
    night.run(expect=(1,))
    assert night.outcome() == before


def test_the_schema_is_told_and_checked(demo: tuple[DemoSummary, Night]) -> None:
    _, night = demo
    assert night.call("db", "check").returncode == 0
    assert night.call("db", "current").stdout.strip()
    assert night.call("db", "upgrade").returncode == 0
