"""The fleet in words and in JSON."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db import workers
from db.backlog import Backlog, Rate
from db.engine import open_engine, writing
from db.pauses import Pause
from db.schema import upgrade
from db.workers import WorkerSeen
from worker.fleet_view import FleetView, fleet_as_json, in_words, pace_in_words, print_fleet
from worker.ledger_view import pause_queue, resume_queue, show_status
from worker.settings import Settings, load_settings

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
STILL = Rate(short=0, long=0, per_second=0.0)
OBJECTS = Backlog(queue="convert", lane="", due=0, working=0, deferred=0, oldest_seconds=0.0)
IDLE = FleetView(
    now=NOON,
    queues={},
    broker="not set",
    paused=(),
    workers=(),
    silent=(),
    backlog=(OBJECTS,),
    studies=STILL,
    objects=STILL,
    studies_left=0,
)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone that is not UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site with an empty ledger in its home folder."""
    upgrade(open_engine(f"sqlite:///{tmp_path / 'nightread.db'}"))
    return load_settings({"home": tmp_path})


def test_the_finish_is_told_in_local_time_and_for_machines_in_utc() -> None:
    view = replace(IDLE, studies=Rate(short=600, long=700, per_second=1.0), studies_left=8412)
    assert view.finish == NOON + timedelta(seconds=8412)
    assert pace_in_words(view) == (
        "600 studies ended in ten minutes, 700 in an hour. "
        "At this rate the night's 8,412 studies are done at 23:20."
    )
    assert fleet_as_json(view)["finish"] == "2026-03-04T14:20:12+00:00"


def test_a_finish_on_another_day_names_it() -> None:
    view = replace(IDLE, studies=Rate(short=600, long=700, per_second=1.0), studies_left=1)
    assert pace_in_words(replace(view, studies_left=30_000)).endswith(
        "30,000 studies are done at 05:20 on Thu 05 Mar."
    )
    assert pace_in_words(view).endswith("the night's 1 study is done at 21:00.")


def test_the_slower_of_converting_and_captioning_decides() -> None:
    left = replace(OBJECTS, due=50, working=40, deferred=10)
    fast, slow = Rate(short=600, long=600, per_second=1.0), Rate(short=6, long=6, per_second=0.01)
    view = replace(IDLE, backlog=(left,), objects=slow, studies=fast, studies_left=60)
    assert view.finish == NOON + timedelta(seconds=10_000)
    assert pace_in_words(view).endswith("done at 23:46; 100 objects to convert may hold more.")
    assert pace_in_words(replace(view, studies_left=0)).endswith(
        "the 100 objects left to convert are done at 23:46."
    )
    assert "no end can be told" in pace_in_words(replace(view, objects=STILL))


def test_a_paused_queue_with_work_left_has_no_end() -> None:
    held = (Pause(queue="convert", reason="lunch", actor="operator", paused_at=NOON),)
    view = replace(IDLE, studies=Rate(short=600, long=700, per_second=1.0), studies_left=60, paused=held)
    assert view.finish == NOON + timedelta(seconds=60)
    view = replace(view, backlog=(replace(OBJECTS, due=1),), objects=view.studies)
    assert view.finish is None
    assert pace_in_words(view).endswith("No end can be told while convert is paused.")


def test_nothing_left_has_no_finish() -> None:
    assert IDLE.finish is None
    assert pace_in_words(IDLE).endswith("Nothing is left to do.")


def test_durations_are_short() -> None:
    told = [in_words(seconds) for seconds in (0.4, 89, 90, 5399, 5400, 172_799, 172_800)]
    assert told == ["0 s", "89 s", "2 min", "90 min", "2 h", "48 h", "2 d"]


def test_a_single_run_has_no_fleet_to_tell_of(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(settings, failures=10, as_json=False)
    assert capsys.readouterr().out == (
        "0 objects seen = 0 converted + 0 skipped + 0 failed\n0 studies = 0 reported + 0 skipped + 0 failed\n"
    )


def test_people_see_who_works_who_fell_silent_and_what_is_held(capsys: pytest.CaptureFixture[str]) -> None:
    worker = WorkerSeen(
        name="caption:gpu-1:77",
        kind="caption",
        started_at=NOON,
        seen_at=NOON,
        seen_seconds=3.2,
        settled=1234,
        detail={"now": "caption"},
    )
    silent = replace(worker, name="convert:cpu-9:5", kind="convert", seen_seconds=700.0)
    print_fleet(replace(IDLE, workers=(worker,), silent=(silent,), broker="ok", queues={"nightread.dead": 2}))
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if "gpu-1" in line] == [
        ["caption", "gpu-1", "77", "3", "s", "ago", "1,234", "caption"]
    ]
    assert "convert on cpu-9 (pid 5) has been silent for 12 min: killed or cut off" in out
    assert "Messages: dead 2" in out


def test_a_pause_is_told_once_and_its_first_reason_stays(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    pause_queue(settings, "caption", reason="the PACS is slow")
    pause_queue(settings, "caption", reason="lunch")
    show_status(settings, failures=10, as_json=False)
    resume_queue(settings, "caption")
    resume_queue(settings, "caption")
    out = capsys.readouterr().out
    assert "caption is paused; workers finish what they have" in out
    assert "caption was paused before, by operator: the PACS is slow. That stays." in out
    assert "by operator: the PACS is slow; `nightread resume caption` lets it go" in " ".join(out.split())
    assert out.endswith("caption goes on.\ncaption was not paused.\n")


def test_the_json_keeps_its_keys_and_has_the_fleet(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    engine = open_engine(settings.database)
    with writing(engine) as connection:
        workers.tell(connection, name="beat:h:1", kind="beat", age_seconds=5, settled=0, detail={"now": ""})
    engine.dispose()
    show_status(settings, failures=10, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert set(told["studies"]) == {"reported", "skipped", "failed", "waiting", "working"}
    assert {"notice", "objects", "balance", "failures"} <= set(told)
    assert (told["queues"], told["broker"], told["paused"], told["finish"]) == ({}, "not set", [], None)
    assert [(row["queue"], row["lane"]) for row in told["backlog"]] == [
        ("convert", ""),
        ("caption", "urgent"),
        ("caption", "routine"),
        ("caption", "backfill"),
    ]
    (worker,) = told["workers"]
    assert (worker["kind"], worker["host"], worker["pid"]) == ("beat", "h", "1")
    assert told["rate"]["studies"] == {"ten_minutes": 0, "hour": 0, "per_second": 0.0}


def test_a_broker_that_is_away_is_said_so_and_the_rest_is_shown(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = settings.model_copy(
        update={"broker_url": load_settings({"broker_url": "amqp://u:secret@127.0.0.1:1/"}).broker_url}
    )
    show_status(away, failures=10, as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "Messages: the broker does not answer (" in out
    assert "secret" not in out
    assert "No worker is running." in out
