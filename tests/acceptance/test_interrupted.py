"""Ctrl-C finishes the batch in hand; the next run does the rest and nothing twice."""

import signal
import time
from pathlib import Path

import pytest

from tests.archives import write_studies
from tests.night import Night

STUDIES = 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_leaves_a_clean_state(tmp_path: Path, number: signal.Signals) -> None:
    write_studies(tmp_path / "archive", STUDIES)
    night = Night(home=tmp_path / "home", source=tmp_path / "archive")
    with night.start("run", "--batch-size", "2") as process:
        _wait_for_reports(night)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "nothing is lost: run it again" in err
    assert night.leases() == 0
    before = night.query("SELECT revision_id, id FROM report")
    assert 0 < len(before) < STUDIES
    assert f"{len(before)} reported" in out
    result = night.run()
    assert result["settled"] == STUDIES - len(before)
    assert set(before) <= set(night.query("SELECT revision_id, id FROM report"))


def test_a_second_run_does_nothing_and_a_late_image_redoes_one_study(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    write_studies(archive, 6)
    late = archive / "study-00002" / "LL.dcm"
    held = late.rename(tmp_path / "held.dcm")
    night = Night(home=tmp_path / "home", source=archive)
    assert night.run()["settled"] == 6
    assert night.run()["settled"] == 0
    held.rename(late)
    assert night.run()["settled"] == 1
    statuses = night.query("SELECT status, count(*) FROM report GROUP BY status ORDER BY status")
    assert statuses == [("draft", 6), ("superseded", 1)]


def test_a_limit_leaves_the_rest_waiting(tmp_path: Path) -> None:
    write_studies(tmp_path / "archive", 12)
    night = Night(home=tmp_path / "home", source=tmp_path / "archive")
    result = night.run("--limit", "5")
    assert result["settled"] == 5
    assert result["balance"]["studies"]["reported"] == 5
    assert night.run()["balance"]["studies"] == {
        "reported": 12, "skipped": 0, "failed": 0, "waiting": 0, "working": 0
    }  # fmt: skip


def _wait_for_reports(night: Night) -> None:
    for _ in range(600):
        time.sleep(0.1)
        if night.count_reports():
            return
    raise AssertionError("no report within a minute")
