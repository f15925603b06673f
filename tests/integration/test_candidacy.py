"""A scheduled run from the first verified report to a verdict: trained, measured, published, promoted or kept."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import writing
from db.trainings import Trainings
from tests.checkpoints import figures, write_checkpoint
from tests.conformance.ledger_world import World, make_world
from tests.conformance.model_versions import judgement
from worker import candidacy, shelf
from worker.bootstrap import Site
from worker.metrics import Metrics
from worker.promoting import Trial, hold_trial
from worker.pulse import Pulse
from worker.settings import load_settings
from worker.slices import ScheduleSlice
from worker.training import TrainingSlice

ROOT = Path(__file__).resolve().parents[2]
TRAINER = (sys.executable, str(ROOT / "tests" / "paper_trainer.py"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose champion, paper@1, came with the program."""
    shipped = write_checkpoint(tmp_path / "shipped", metrics=figures())
    monkeypatch.setattr(shelf, "find_checkpoint", lambda _name: shipped)
    monkeypatch.setattr(shelf, "shipped_checkpoints", lambda: {"champion": shipped})
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    site = Site(settings=load_settings({"home": tmp_path / "home"}))
    site.adopt_model()
    return site


@pytest.fixture
def world(site: Site) -> World:
    """Two studies whose reports a person verified."""
    world = make_world(site.engine)
    world.convert(s1=["s1/a"], s2=["s2/a"])
    world.release()
    world.report_all()
    with writing(site.engine) as connection:
        connection.execute(text("UPDATE report SET status = 'verified'"))
    return world


def configure(folder: Path, *, champion: str = "", **figure: float) -> str:
    """A configuration whose run will have these figures; `champion` are the champion's on its data."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "champion.toml").write_text(champion, encoding="utf-8")
    config = folder / "site.toml"
    lines = [f"{name} = {value}" for name, value in figure.items()]
    config.write_text(
        f'[run]\nname = "site"\noutput = "{folder / "runs"}"\n[data]\nfolder = "{data}"\n[figures]\n'
        + "\n".join(lines),
        encoding="utf-8",
    )
    return str(config)


def schedule(site: Site, config: str, *, after: int = 2) -> None:
    """What the beat does each minute."""
    ScheduleSlice(trainings=Trainings(site.engine), config=config, after=after, actor="beat:1")()


def train(site: Site, *, metrics: Metrics | None = None, program: tuple[str, ...] = TRAINER) -> None:
    """What a training worker does at a permit."""
    TrainingSlice(
        trainings=Trainings(site.engine),
        owner="w1",
        lease_seconds=60,
        pulse=Pulse(site.engine, kind="training", name="w1", stall_seconds=60, detail={}),
        stop=Event(),
        site=lambda: site,
        program=program,
        metrics=metrics or Metrics(),
    )()


def outcome(site: Site) -> tuple[str, str]:
    (entry,) = Trainings(site.engine).entries(5)
    return entry.state, entry.reason


def champion(site: Site) -> str:
    return site.shelf.versions.entry(site.shelf.versions.aliases()["champion"]).title


def test_a_better_model_is_promoted_without_anybody_asking(site: Site, world: World, tmp_path: Path) -> None:
    metrics = Metrics()
    schedule(site, configure(tmp_path, CIDEr=0.5))
    train(site, metrics=metrics)
    state, reason = outcome(site)
    title = champion(site)
    assert title.startswith("site@20")
    assert title.endswith(".1")
    assert (state, reason) == ("succeeded", f"{title} was promoted: it met the criteria")
    assert metrics.registry.get_sample_value("nightread_trainings_total", {"outcome": "promoted"}) == 1
    (run,) = Trainings(site.engine).entries(1, model_version_id=site.shelf.named("champion").id)
    assert (run.asked_by, run.run_id) == ("schedule", 1)
    schedule(site, configure(tmp_path, CIDEr=0.6))
    assert not Trainings(site.engine).has_work()  # nothing new was verified since


def test_a_worse_model_is_kept_and_the_run_explains_why(site: Site, world: World, tmp_path: Path) -> None:
    schedule(site, configure(tmp_path, CIDEr=0.2))
    train(site)
    state, reason = outcome(site)
    assert state == "succeeded"
    assert "was not promoted: NOT MET CIDEr at least the champion's lower bound: 0.2 against 0.35" in reason
    assert champion(site) == "paper@1"
    (judged,) = site.shelf.versions.judgements(site.shelf.versions.entries()[0].id)
    assert (judged.passed, judged.promoted, judged.actor) == (False, False, "training")


def test_the_champion_is_measured_on_the_runs_own_data(site: Site, world: World, tmp_path: Path) -> None:
    elsewhere = 'studies = 50\n"macro F1 problems" = 0.1\n'
    schedule(site, configure(tmp_path, champion=elsewhere, studies=50, macro_F1_problems=0.2))
    train(site)
    assert champion(site).startswith("site@")
    (judged,) = site.shelf.versions.judgements(site.shelf.named("champion").id)
    assert judged.figures["champion"]["values"]["macro F1 problems"] == 0.1
    assert site.shelf.named("paper@1").metrics == figures()  # what it was published with stays


def test_a_run_that_was_lost_after_training_is_not_trained_again(site: Site, world: World, tmp_path: Path) -> None:
    config = configure(tmp_path, CIDEr=0.5)
    schedule(site, config)
    trainings = Trainings(site.engine)
    lost = trainings.claim(owner="w0", lease_seconds=0)
    assert lost is not None
    made = tmp_path / "runs" / f"{lost.created_at:%Y-%m-%d}.1"
    write_checkpoint(made, name="site", version=made.name, weights="by w0", metrics=figures(CIDEr=0.5))
    trainings.sweep(most_crashes=5)
    train(site)
    assert champion(site) == f"site@{made.name}"
    assert (made / "model.safetensors").read_text() == "by w0"


def test_what_was_published_by_a_lost_worker_is_judged_by_the_next(
    site: Site, world: World, tmp_path: Path
) -> None:
    schedule(site, configure(tmp_path, CIDEr=0.5))
    trainings = Trainings(site.engine)
    lost = trainings.claim(owner="w0", lease_seconds=0)
    assert lost is not None
    made = write_checkpoint(tmp_path / "made", name="site", version="x", weights="x", metrics=figures(CIDEr=0.5))
    trainings.published(lost, owner="w0", model_version_id=site.shelf.add(made).version_id)
    trainings.sweep(most_crashes=5)
    train(site)
    assert champion(site) == "site@x"
    assert not (tmp_path / "runs").exists()


def test_a_run_that_fails_says_so_and_the_champion_stays(site: Site, world: World, tmp_path: Path) -> None:
    metrics = Metrics()
    schedule(site, configure(tmp_path))
    train(
        site, metrics=metrics, program=(sys.executable, "-c", "import sys; sys.exit('Error: NaN loss in step 7')")
    )
    assert outcome(site) == ("failed", "nightread-train fit ended with exit code 1: Error: NaN loss in step 7")
    assert champion(site) == "paper@1"
    assert metrics.registry.get_sample_value("nightread_trainings_total", {"outcome": "failed"}) == 1


@pytest.mark.parametrize("content", ["no toml", "[run]\nname = 'x'\n", "run = 3\n"])
def test_a_configuration_that_names_no_output_fails_the_run_with_a_reason(
    site: Site, world: World, tmp_path: Path, content: str
) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(content, encoding="utf-8")
    schedule(site, str(config))
    train(site)
    state, reason = outcome(site)
    assert state == "failed"
    assert "bad.toml' cannot be used" in reason
    assert "must be a TOML file on this machine with [run] output" in reason


def test_too_few_verified_reports_start_nothing(site: Site, world: World, tmp_path: Path) -> None:
    schedule(site, configure(tmp_path), after=3)
    assert not Trainings(site.engine).has_work()


def test_a_champion_that_changes_while_it_is_measured_is_measured_again(
    site: Site, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = site.shelf.add(write_checkpoint(tmp_path / "rival", version="9", weights="9", metrics=figures()))
    measured: list[int] = []

    def hold(at: Site, *given: Any, **named: Any) -> Trial:
        measured.append(named["measured"][0])
        if len(measured) == 1:  # an operator's promotion, just now
            at.shelf.versions.promote(rival.version_id, judgement(), champion_id=measured[0], actor="ann")
        return hold_trial(at, *given, **named)

    monkeypatch.setattr(candidacy, "hold_trial", hold)
    schedule(site, configure(tmp_path, CIDEr=0.5))
    train(site)
    assert measured == [site.shelf.named("paper@1").id, rival.version_id]
    assert champion(site).startswith("site@")


def test_the_trainer_publishes_through_the_worker(tmp_path: Path) -> None:
    made = write_checkpoint(tmp_path / "made", version="7", metrics=figures())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
    environment |= {"NIGHTREAD_HOME": str(tmp_path / "home")}
    published = subprocess.run(
        [sys.executable, "-m", "training", "publish", str(made)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert published.returncode == 0, published.stderr
    assert "paper@7 is published: weights " in published.stdout
    assert (tmp_path / "home" / "models" / "paper" / "7" / "manifest.json").exists()
    entry = Site(settings=load_settings({"home": tmp_path / "home"})).shelf.named("paper@7")
    assert (entry.device_uid, entry.metrics) == ("2.25.1", figures())
