"""A new champion, a trial and the way back while studies arrive: running workers follow, no study is dropped."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.manifest import MANIFEST, find_checkpoint, load_manifest
from tests.fleet import Fleet, Member, wait_for
from tests.verdict import all_ended, judge

FIRST, SECOND, THIRD = range(10), range(10, 20), range(20, 24)
WITHIN = 300  # seconds, on a machine that does other things too; a minute is what is promised
BY_MODEL = "SELECT model_version, count(*) FROM latest_report GROUP BY model_version"


def successor(folder: Path) -> str:
    """The shipped champion again, as the version that comes after it; its name in the registry."""
    shutil.copytree(find_checkpoint("champion"), folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest |= {"version": "next", "device_uid": "2.25.7"}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return f"{manifest['name']}@next"


def done(fleet: Fleet, *arguments: str) -> None:
    """Run a command, which must succeed."""
    member = fleet.call("models", *arguments, seconds=180)
    assert member.process.returncode == 0, member.said()


def wait_until_taken(captioner: Member, times: int) -> None:
    """Until the captioner told so often that it took another champion."""
    wait_for(lambda: captioner.said().count('"event": "champion_taken"') == times, WITHIN, "the champion is taken")


def untried(fleet: Fleet) -> int:
    """Current reports without one of the trial's beside them."""
    tried = "SELECT current_report_id FROM shadow_report WHERE current_report_id IS NOT NULL"
    return int(fleet.query(f"SELECT count(*) FROM latest_report WHERE report_id NOT IN ({tried})")[0][0])


@pytest.mark.slow
def test_running_workers_follow_the_champion_there_and_back_and_try_a_shadow(fleet: Fleet, tmp_path: Path) -> None:
    first = load_manifest(find_checkpoint("champion"))
    title = successor(tmp_path / "next")
    for kind in (("beat",), ("intake",), ("worker", "convert")):
        fleet.start(*kind)
    captioner = fleet.start("worker", "caption")
    fleet.bind(seconds=WITHIN)
    fleet.wait_for_workers(4, seconds=WITHIN)
    done(fleet, "publish", str(tmp_path / "next"))
    done(fleet, "shadow", title)
    wait_for(lambda: '"event": "shadow_taken"' in captioner.said(), WITHIN, "the trial begins")
    fleet.arrivals.send_all(FIRST)
    wait_for(lambda: all_ended(fleet, FIRST), 300, "the first studies ended")
    assert dict(fleet.query(BY_MODEL)).keys() == {first.version}
    wait_for(lambda: untried(fleet) == 0, WITHIN, "the trial saw what the champion reported")
    assert fleet.query("SELECT DISTINCT model_version FROM shadow_report") == [("next",)]

    fleet.arrivals.send_all(SECOND, seconds=20)  # under way while the champion changes
    refused = fleet.call("models", "promote", title, env={"NIGHTREAD_PROMOTION": str(impossible(tmp_path))})
    assert refused.process.returncode == 1
    assert "NOT MET distinct texts above 1e+06" in refused.said()
    done(fleet, "promote", title, "--override", "the test wants it")
    wait_until_taken(captioner, 1)
    wait_for(lambda: all_ended(fleet, SECOND), 300, "the second studies ended")

    done(fleet, "rollback")
    wait_until_taken(captioner, 2)
    before = dict(fleet.query(BY_MODEL))
    fleet.arrivals.send_all(THIRD)
    wait_for(lambda: all_ended(fleet, THIRD), 300, "the third studies ended")
    after = dict(fleet.query(BY_MODEL))
    assert after.get("next", 0) == before.get("next", 0)
    assert judge(fleet, [*FIRST, *SECOND, *THIRD]).clean
    assert captioner.alive
    assert {code for name, code in fleet.stop().items() if "models" not in name} == {0}


def impossible(folder: Path) -> Path:
    """Criteria that nothing meets."""
    file = folder / "impossible.toml"
    file.write_text('[[criterion]]\nfigure = "distinct texts"\nabove = 1_000_000\n', encoding="utf-8")
    return file
