"""Two sources on one ledger, and a source that goes away: nothing is taken for deleted."""

from pathlib import Path

from tests.archives import write_studies
from tests.night import Night


def test_a_second_source_leaves_the_first_ones_work_alone(tmp_path: Path) -> None:
    write_studies(tmp_path / "one", 6)
    write_studies(tmp_path / "two", 2, first=10)
    one = Night(home=tmp_path / "home", source=tmp_path / "one")
    two = Night(home=tmp_path / "home", source=tmp_path / "two")
    one.run("--limit", "2", "--batch-size", "2")
    two.run()
    assert two.query("SELECT count(*) FROM object WHERE state NOT IN ('converted', 'pending')") == [(0,)]
    balance = one.run()["balance"]
    assert balance["studies"]["reported"] == 8
    assert balance["objects"]["converted"] == 16


def test_a_file_that_was_away_for_one_run_is_converted_by_the_next(tmp_path: Path) -> None:
    write_studies(tmp_path / "archive", 2)
    night = Night(home=tmp_path / "home", source=tmp_path / "archive")
    night.run("--limit", "1", "--batch-size", "1")
    away = (tmp_path / "archive" / "study-00001").rename(tmp_path / "away")
    night.run()
    away.rename(tmp_path / "archive" / "study-00001")
    assert night.run()["balance"]["studies"]["reported"] == 2


def test_home_may_not_lie_in_the_source(tmp_path: Path) -> None:
    write_studies(tmp_path / "archive", 1)
    done = Night(home=tmp_path / "archive" / "home", source=tmp_path / "archive").call("run")
    assert done.returncode == 2
    assert "NIGHTREAD_HOME" in done.stderr
    assert not (tmp_path / "archive" / "home").exists()


def test_looking_makes_no_ledger(tmp_path: Path) -> None:
    done = Night(home=tmp_path / "typo", source=tmp_path).call("status")
    assert done.returncode == 2
    assert "there is no ledger at" in done.stderr
    assert not (tmp_path / "typo").exists()
