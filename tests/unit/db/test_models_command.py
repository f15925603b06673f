"""What the `models` commands do, tell and refuse, without click; the files are real, the weights are not."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.errors import ModelConflict
from db.trainings import Trainings
from pipeline.errors import CheckpointError, UsageError
from pipeline.manifest import CARD, MANIFEST, WEIGHTS
from tests.checkpoints import figures, write_checkpoint
from worker import shelf
from worker.bootstrap import Site
from worker.model_desk import list_models, promote, publish, rollback, set_shadow, show_model
from worker.promoting import NotPromoted
from worker.settings import Settings, load_settings

Read = pytest.CaptureFixture[str]


@pytest.fixture
def settings(engine: Engine, tmp_path: Path) -> Settings:
    """A site without any model."""
    return load_settings({"home": tmp_path / "home", "database_url": str(engine.url)})


@pytest.fixture
def site(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site after its first start: what came with the program, paper@1, is champion."""
    shipped = write_checkpoint(tmp_path / "shipped", metrics=figures())
    monkeypatch.setattr(shelf, "find_checkpoint", lambda _name: shipped)
    monkeypatch.setattr(shelf, "shipped_checkpoints", lambda: {"champion": shipped})
    site = Site(settings=settings)
    site.adopt_model()
    return site


def published(settings: Settings, folder: Path, *, version: str = "2", **figure: float) -> None:
    """Another version, published with these figures."""
    metrics = figures(**figure)
    publish(settings, write_checkpoint(folder / version, version=version, weights=version, metrics=metrics))


def held(site: Site) -> dict[str, str]:
    versions = site.shelf.versions
    return {alias: versions.entry(version_id).title for alias, version_id in versions.aliases().items()}


def test_the_first_start_makes_what_came_with_the_program_champion_and_keeps_its_files(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert held(site) == {"champion": "paper@1"}
    monkeypatch.setattr(shelf, "shipped_checkpoints", dict)  # an update ships another one
    again = Site(settings=settings)
    assert again.checkpoint == settings.home / "models" / "paper" / "1"
    assert again.adopt_model().manifest.title == "paper 1"


def test_a_better_version_is_promoted_and_rollback_is_one_command(
    site: Site, tmp_path: Path, capsys: Read
) -> None:
    published(site.settings, tmp_path, CIDEr=0.44)
    assert "paper@2 is published: weights " in capsys.readouterr().out
    promote(site.settings, "paper@2", override="", dry_run=False)
    told = capsys.readouterr().out
    assert "paper@2 against paper@1:" in told
    assert "  met     CIDEr at least the champion's lower bound: 0.44 against 0.35\n" in told
    assert "paper@2 is the champion; running workers take it within a minute." in told
    assert held(site) == {"champion": "paper@2", "previous": "paper@1"}
    assert Site(settings=site.settings).manifest.version == "2"
    rollback(site.settings, reason="it invents effusions")
    assert capsys.readouterr().out.startswith("paper@1 is the champion again, paper@2 is `previous`")
    assert held(site) == {"champion": "paper@1", "previous": "paper@2"}


def test_a_worse_version_is_refused_line_by_line_and_the_verdict_is_kept(
    site: Site, tmp_path: Path, capsys: Read
) -> None:
    published(site.settings, tmp_path, CIDEr=0.2, distinct_texts=3)
    with pytest.raises(NotPromoted, match="paper@2 is not promoted: it does not meet the criteria"):
        promote(site.settings, "paper@2", override="", dry_run=False)
    told = capsys.readouterr().out
    assert "  NOT MET CIDEr at least the champion's lower bound: 0.2 against 0.35\n" in told
    assert "  NOT MET distinct texts above 40: 3 against 40\n" in told
    assert held(site) == {"champion": "paper@1"}
    (entry,) = site.shelf.versions.judgements(2)
    assert (entry.passed, entry.promoted, entry.figures["candidate"]["values"]["CIDEr"]) == (False, False, 0.2)


def test_who_overrides_the_criteria_says_why_and_it_is_kept(site: Site, tmp_path: Path, capsys: Read) -> None:
    published(site.settings, tmp_path, CIDEr=0.2)
    promote(site.settings, "paper@2", override="the old one crashes the GPU", dry_run=False)
    assert held(site)["champion"] == "paper@2"
    show_model(site.settings, "champion", as_json=False)
    told = capsys.readouterr().out
    assert "promoted all the same: the old one crashes the GPU, by " in told
    assert " UTC champion, by " in told


def test_a_dry_run_judges_and_stores_nothing(site: Site, tmp_path: Path, capsys: Read) -> None:
    published(site.settings, tmp_path)
    promote(site.settings, "paper@2", override="", dry_run=True)
    assert "A dry run: nothing is stored." in capsys.readouterr().out
    assert held(site) == {"champion": "paper@1"}
    assert site.shelf.versions.judgements(2) == []


def test_a_version_whose_files_are_gone_is_neither_promoted_nor_put_on_trial(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path)
    (site.settings.home / "models" / "paper" / "2" / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match="the files of paper@2 are not where models are kept"):
        promote(site.settings, "paper@2", override="x", dry_run=False)
    with pytest.raises(CheckpointError, match="the files of paper@2 are not where models are kept"):
        set_shadow(site.settings, "paper@2", reason="x")
    assert held(site) == {"champion": "paper@1"}


def test_a_trial_is_begun_and_ended(site: Site, tmp_path: Path, capsys: Read) -> None:
    published(site.settings, tmp_path)
    set_shadow(site.settings, "paper@2", reason="try it")
    assert held(site)["shadow"] == "paper@2"
    with pytest.raises(UsageError, match="paper@1 is the champion: it needs no trial"):
        set_shadow(site.settings, "champion", reason="no")
    set_shadow(site.settings, "none", reason="seen enough")
    assert held(site) == {"champion": "paper@1"}


def test_everything_about_a_version_is_shown(site: Site, tmp_path: Path, capsys: Read) -> None:
    published(site.settings, tmp_path)
    trainings = Trainings(site.engine)
    trainings.request("site.toml", actor="ann", promotes=True)
    work = trainings.claim(owner="w1", lease_seconds=60)
    assert work is not None
    trainings.published(work, owner="w1", model_version_id=2)
    promote(site.settings, "paper@2", override="", dry_run=False)
    capsys.readouterr()
    show_model(site.settings, "paper@2", as_json=False)
    told = capsys.readouterr().out
    for part in ("device UID", "weights", "tokenizer", "preprocessing", "training", "constant", "0.35 to 0.46"):
        assert part in told
    assert f"{site.settings.home}/models/paper/2/{CARD}" in told
    assert "made by training run 1 of site.toml, asked by operator" in told
    show_model(site.settings, "paper@2", as_json=True)
    raw = json.loads(capsys.readouterr().out)
    assert (raw["model"], raw["aliases"], raw["judgements"][0]["promoted"]) == ("paper@2", ["champion"], True)
    assert raw["training_runs"][0]["config"] == "site.toml"
    list_models(site.settings, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["paper@2 [champion]", "paper@1 [previous]"]
    list_models(site.settings, as_json=True)
    assert [item["version"] for item in json.loads(capsys.readouterr().out)["models"]] == ["2", "1"]


def test_publishing_again_with_new_figures_stores_them(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path, CIDEr=0.2)
    published(site.settings, tmp_path, CIDEr=0.5)
    (entry, _) = site.shelf.versions.entries()
    assert entry.metrics["val"]["model"]["CIDEr"] == 0.5


def test_figures_that_are_no_numbers_are_stored_as_none_and_not_met(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path, CIDEr=float("nan"))
    with pytest.raises(NotPromoted):
        promote(site.settings, "paper@2", override="", dry_run=False)
    assert site.shelf.versions.entry(2).metrics["val"]["model"]["CIDEr"] is None
    assert "NaN" not in str(site.engine.connect().exec_driver_sql("SELECT verdict, figures FROM promotion").all())


def test_other_weights_under_a_known_version_are_refused(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path)
    with pytest.raises(ModelConflict, match="give changed weights a new version"):
        publish(site.settings, write_checkpoint(tmp_path / "x", version="2", weights="changed", metrics=figures()))
    kept = site.settings.home / "models" / "paper" / "2" / WEIGHTS
    assert kept.read_text() == "2"


def test_models_are_never_kept_in_the_watched_source(site: Site, tmp_path: Path) -> None:
    inside = load_settings(
        {
            **site.settings.model_dump(),
            "source": str(tmp_path / "archive"),
            "models": str(tmp_path / "archive" / "m"),
        }
    )
    with pytest.raises(UsageError, match=r"the models' place \(NIGHTREAD_MODELS\) .* lies inside the source"):
        publish(inside, write_checkpoint(tmp_path / "x", version="3"))


@pytest.mark.parametrize("title", ["paper@9", "paper", "nobody@1", "previous"])
def test_a_model_that_is_not_there_is_one_clear_line(site: Site, title: str) -> None:
    with pytest.raises(UsageError, match=rf"there is no model '{title}'; `nightread models list` shows all"):
        promote(site.settings, title, override="", dry_run=False)


def test_there_is_no_way_back_from_the_first(site: Site) -> None:
    with pytest.raises(UsageError, match="there is no previous champion to go back to"):
        rollback(site.settings, reason="x")


def test_a_worker_may_be_held_to_a_version_by_its_name(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path)
    held_to = Site(settings=site.settings.model_copy(update={"model": "paper@2"}))
    assert not held_to.follows_champion
    assert held_to.adopt_model().manifest.version == "2"
    assert held(site) == {"champion": "paper@1"}


def test_the_sites_own_criteria_are_heard(site: Site, tmp_path: Path) -> None:
    published(site.settings, tmp_path)
    strict = tmp_path / "strict.toml"
    strict.write_text('[[criterion]]\nfigure = "CIDEr"\nabove = "champion"\n', encoding="utf-8")
    settings = site.settings.model_copy(update={"promotion": strict})
    with pytest.raises(NotPromoted):
        promote(settings, "paper@2", override="", dry_run=False)
    assert site.shelf.versions.judgements(2)[0].criteria == strict.read_text()
