"""What the `backfill` and `release` commands tell, and what they refuse, without click."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.engine import writing
from db.errors import ModelConflict
from db.records import Lane
from pipeline.errors import UsageError
from pipeline.manifest import find_checkpoint, load_manifest
from tests.conformance.ledger_world import World
from worker.backfill import Wanted, feed_slice, list_backfills, pause_backfill, resume_backfill, start_backfill
from worker.settings import Settings, load_settings
from worker.wishes import release_studies


@pytest.fixture
def settings(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A ledger on a machine whose clock is two hours ahead of UTC all year."""
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    yield load_settings({"home": tmp_path, "database_url": str(engine.url), "model": "champion"})
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def archive(world: World) -> World:
    """Three studies that another model has reported, and one that waits."""
    with writing(world.engine) as connection:
        connection.execute(text("UPDATE model_version SET name = 'older'"))
    world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
    world.release()
    world.report_all()
    world.convert(s4=["s4/a"])
    world.release()
    return world


def dump(engine: Engine) -> list[str]:
    """Everything in the database."""
    with closing(sqlite3.connect(engine.url.database or "")) as connection:
        return list(connection.iterdump())


def test_a_back_fill_starts_and_queues_at_once(
    settings: Settings, archive: World, capsys: pytest.CaptureFixture[str]
) -> None:
    start_backfill(settings, Wanted(), dry_run=False, as_json=False)
    told = capsys.readouterr().out
    assert "4 studies selected = 3 not processed by champion " in told
    assert "+ 0 seen by it + 1 waiting + 0 without an image" in told
    assert "Back-fill 1 has queued all" in told
    assert archive.one("SELECT count(*) FROM study_revision WHERE lane = 'backfill' AND state = 'waiting'") == 3
    start_backfill(settings, Wanted(), dry_run=False, as_json=False)
    assert "Back-fill" not in capsys.readouterr().out
    list_backfills(settings, as_json=False)
    assert capsys.readouterr().out.startswith("1: done, 3 studies queued for champion ")


def test_a_dry_run_writes_nothing(settings: Settings, archive: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = dump(archive.engine)
    start_backfill(settings, Wanted(), dry_run=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["selected"], told["to_queue"], told["backfill"], told["queued"]) == (4, 3, None, 0)
    assert list(archive.engine.raw_connection().driver_connection.iterdump()) == before  # type: ignore[union-attr]


@pytest.mark.parametrize("dry_run", [False, True])
def test_other_weights_under_a_known_version_are_refused(settings: Settings, world: World, dry_run: bool) -> None:
    with writing(world.engine) as connection:
        known = load_manifest(find_checkpoint("champion"))
        update = text("UPDATE model_version SET name = :name, version = :version")
        connection.execute(update, {"name": known.name, "version": known.version})
    with pytest.raises(ModelConflict, match="give changed weights a new version"):
        start_backfill(settings, Wanted(), dry_run=dry_run, as_json=False)


def test_a_window_is_local_in_the_command_and_utc_in_the_table(
    settings: Settings, archive: World, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = Wanted(per_hour=1500, window="20:00-06:00", modalities=("dx",), first_date=date(2024, 5, 1))
    start_backfill(settings, wanted, dry_run=False, as_json=False)
    told = capsys.readouterr().out
    assert "1,500 an hour at most; from 20:00 to 06:00 here (18:00-04:00 UTC)" in told
    assert "Back-fill 1 is running: 0 are queued, the fleet's beat queues the rest" in told
    assert archive.rows('SELECT "window", per_hour FROM backfill') == [("18:00-04:00", 1500)]
    list_backfills(settings, as_json=True)
    (entry,) = json.loads(capsys.readouterr().out)["backfills"]
    assert (entry["window_utc"], entry["selection"]["modalities"]) == ("18:00-04:00", ["DX"])


def test_a_file_names_studies_and_lines_that_name_none_are_told(
    settings: Settings, archive: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "selection.txt"
    file.write_text("s1\n\nnobody\n s3 \ns1\nnobody either\n", encoding="utf-8")
    start_backfill(settings, Wanted(file=file), dry_run=False, as_json=True)
    told = capsys.readouterr()
    assert "2 of 4 named studies are not in the ledger and left out: line 3, 6\n" in told.err
    assert json.loads(told.out[told.out.index("{") :])["queued"] == 2  # the log comes before it


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(window="8pm-6am"), r"the window '8pm-6am' is none; .* 20:00-06:00"),
        (Wanted(first_date=date(2025, 1, 2), last_date=date(2025, 1, 1)), "--from 2025-01-02 is after --to 2025"),
        (Wanted(file=Path("/nowhere/at/all")), "'/nowhere/at/all' cannot be read: No such file"),
        (Wanted(file=Path("/dev/null")), "names no study of the ledger; give one Study Instance UID a line"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_started(
    settings: Settings, archive: World, wanted: Wanted, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        start_backfill(settings, wanted, dry_run=False, as_json=False)
    assert archive.one("SELECT count(*) FROM backfill") == 0


def test_a_back_fill_is_paused_and_resumed_by_its_number(
    settings: Settings, archive: World, capsys: pytest.CaptureFixture[str]
) -> None:
    start_backfill(settings, Wanted(per_hour=1), dry_run=False, as_json=True)
    pause_backfill(settings, 1)
    pause_backfill(settings, 1)
    resume_backfill(settings, 1)
    told = capsys.readouterr().out
    assert "Back-fill 1 is paused; what waits already is still worked on." in told
    assert "Back-fill 1 is paused; nothing was changed." in told
    assert "Back-fill 1 is running again." in told
    with pytest.raises(UsageError, match="there is no back-fill 7; `nightread backfill --list` shows all"):
        pause_backfill(settings, 7)


def test_a_slice_without_anything_to_do_ends(archive: World) -> None:
    fed = feed_slice(archive.engine, model_version_id=archive.model_version_id, actor="beat:1")
    assert (fed.walked, fed.queued) == (0, 0)


def test_a_release_tells_what_it_could_not_find(
    settings: Settings, archive: World, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.convert(s5=["s5/a"])
    assert release_studies(settings, ["s5", "s1"], lane=Lane.URGENT) == 0
    told = capsys.readouterr().out
    assert told == "released as they are: 1; nothing new to release: 1; in the urgent lane from now on: 2\n"
    assert release_studies(settings, ["nobody"], lane=None) == 1
    assert "no study 'nobody' in the ledger" in capsys.readouterr().err
